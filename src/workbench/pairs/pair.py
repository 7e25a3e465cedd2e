"""What a pair is: its parts, what makes one valid, and its key. It knows nothing of files or databases."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from json.encoder import encode_basestring_ascii

STATUSES = ("pending", "accepted", "rejected")
ROLES = ("system", "user", "assistant")
UNDECIDED = "undecided"
"""The tag of a preference pair of which nobody has said yet which answer is the better one: `chosen` and `rejected` are
then only the first and the second. It goes when a side is chosen, and until then the pair cannot be accepted."""
MAX_TEXT = 1_000_000
"""Characters at most in one text of a pair: several times what the longest context of today holds."""

_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
_KINDS = {dict: "an object", list: "a list", bool: "true or false", type(None): "null"}
_quoted = encode_basestring_ascii
_TAG = re.compile(r"[^\x00-\x1f\x7f\"\\,\ud800-\udfff]{1,64}")


class NotAPair(ValueError):
    """What keeps something from being a pair, as words that follow "line 17: "."""


@dataclass(frozen=True, kw_only=True)
class NewPair:
    """A pair on its way into a dataset: chat messages that end with the user's, and what is answered.

    Raises:
        NotAPair: a text is empty, too long, or not text; a role is unknown; the answers contradict each other.
    """

    messages: Sequence[Mapping[str, str]]
    """`{"role": "system" | "user" | "assistant", "content": ...}` each; the last one is the user's."""
    completion: str | None = None
    """The answer that is learned; None in a preference pair."""
    chosen: str | None = None
    """The better answer of a preference pair."""
    rejected: str | None = None
    """The worse answer of a preference pair."""
    tags: tuple[str, ...] = ()
    note: str = ""
    source: str = ""
    """Where it came from."""

    def __post_init__(self) -> None:
        if not self.messages or self.messages[-1]["role"] != "user":
            raise NotAPair("has no user turn right before its answer")
        for message in self.messages:
            if message["role"] not in ROLES:
                raise NotAPair(f"has a turn of role {message['role']!r:.40}; only {', '.join(ROLES)} can be learned")
            check_text(message["content"], "prompt" if message["role"] == "user" else f"{message['role']} turn")
        if self.completion is not None:
            if self.chosen is not None or self.rejected is not None:
                raise NotAPair("has both a completion and preferences")
            check_text(self.completion, "completion")
        elif self.chosen is None or self.rejected is None:
            missing = "rejected" if self.chosen is not None else "chosen" if self.rejected is not None else "completion"
            raise NotAPair(f"has no {missing}")
        else:
            check_text(self.chosen, "chosen")
            check_text(self.rejected, "rejected")
            if normalised(self.chosen) == normalised(self.rejected):
                raise NotAPair("has the same text as chosen and rejected")
        check_tags(self.tags)
        for name, text in (("note", self.note), ("source", self.source)):
            if not is_text(text):
                raise NotAPair(f"has a {name} that is not text")

    @property
    def key(self) -> str:
        """What identifies the content; see `key_of`."""
        return key_of(self.messages, self.completion, self.chosen, self.rejected)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A pair of a dataset: with `completion` it teaches an answer, with `chosen` and `rejected` a preference."""

    id: int
    dataset: str
    key: str
    messages: list[dict[str, str]]
    completion: str | None
    chosen: str | None
    rejected: str | None
    status: str
    tags: tuple[str, ...]
    note: str
    source: str

    @property
    def prompt(self) -> str:
        """The last message of the user."""
        return self.messages[-1]["content"]

    @property
    def answer(self) -> str:
        """The completion, or the better answer of a preference pair."""
        return self.completion if self.completion is not None else self.chosen or ""

    @property
    def is_preference(self) -> bool:
        """Whether it has chosen and rejected instead of a completion."""
        return self.completion is None

    @property
    def is_undecided(self) -> bool:
        """Whether nobody has said yet which of its two answers is the better one."""
        return self.is_preference and UNDECIDED in self.tags


def check_text(text: object, name: str) -> str:
    """Return `text` if a pair can hold it.

    Raises:
        NotAPair: it is no string, blank, longer than `MAX_TEXT`, or has a NUL or half a surrogate pair.
    """
    # Most text passes by this alone, which reads it at the speed of memory.
    if type(text) is str and not text.isspace() and 0 < len(text) <= MAX_TEXT and is_text(text):
        return text
    if not isinstance(text, str):
        raise NotAPair(f"{name} is {_KINDS.get(type(text), 'a number')}, not text")
    if not text.strip():
        raise NotAPair(f"{name} is empty")
    if len(text) > MAX_TEXT:
        raise NotAPair(f"{name} is longer than {MAX_TEXT:,} characters")
    if found := _NOT_TEXT.search(text):
        what = "a NUL character" if found[0] == "\0" else f"half a surrogate pair (\\u{ord(found[0]):04x})"
        raise NotAPair(f"{name} has {what} at character {found.start() + 1}")
    return text


def is_text(text: str) -> bool:
    """Whether UTF-8 and C strings can hold it: it has no NUL and no half of a surrogate pair."""
    if text.isascii():
        return "\0" not in text
    return _NOT_TEXT.search(text) is None


def as_text(text: str) -> str:
    """`text` with U+FFFD for what `is_text` refuses (names of files and columns, what a user types)."""
    return _NOT_TEXT.sub("\ufffd", text)


def split_source(source: str) -> tuple[str, int | None]:
    """The file and the line of a source such as `file.jsonl:17`; no line where it is not written like that."""
    file, colon, line = source.rpartition(":")
    if colon and file and line.isascii() and line.isdigit() and len(line) < 19 and str(int(line)) == line:
        return file, int(line)
    return source, None


def is_tag(tag: object) -> bool:
    """Whether it is 1 to 64 characters without commas, quotes, backslashes and controls, and no space around them."""
    return isinstance(tag, str) and _TAG.fullmatch(tag) is not None and tag == tag.strip()


def check_tags(tags: Iterable[str]) -> None:
    """Refuse what is no tag.

    Raises:
        NotAPair: one is empty, longer than 64 characters, or has a comma, a quote or a backslash.
    """
    for tag in tags:
        if not is_tag(tag):
            raise NotAPair(f"{tag!r} is no tag: up to 64 characters without commas, quotes and backslashes")


def normalised(text: str) -> str:
    """What two texts have in common that a reader cannot tell apart: NFC, newlines as `\\n`, no space around."""
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    return (text if text.isascii() else unicodedata.normalize("NFC", text)).strip()


def key_of(
    messages: Sequence[Mapping[str, str]], completion: str | None, chosen: str | None, rejected: str | None
) -> str:
    """64 hexadecimal digits from the sha256 of the normalised content: 32 of the messages, then 32 of the whole.

    Pairs with the same messages share the first half, by which the split into train and eval goes: another answer to
    the same prompt, or an edited one, stays on its side.
    """
    return digest_of(messages, completion, chosen, rejected).hex()


def digest_of(
    messages: Sequence[Mapping[str, str]], completion: str | None, chosen: str | None, rejected: str | None
) -> bytes:
    """The 32 bytes of `key_of`.

    What is hashed is the content as `json.dumps` writes it, put together here from its strings, which is several times
    as fast. It can never change: every workspace has these keys.
    """
    turns = [f"[{_quoted(turn['role'])}, {_quoted(normalised(turn['content']))}]" for turn in messages]
    answers = ["null" if text is None else _quoted(normalised(text)) for text in (completion, chosen, rejected)]
    return digest_of_json(f"[{', '.join(turns)}]", f"[{', '.join(answers)}]")


def digest_of_json(messages: str, answers: str) -> bytes:
    """`digest_of` what is put together already."""
    digest = sha256(messages.encode())
    of_messages = digest.digest()
    digest.update(answers.encode())
    return of_messages[:16] + digest.digest()[:16]
