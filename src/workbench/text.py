"""Making untrusted text safe: to paint on a terminal, and to put into a chat template.

Applied where text leaves the engine (a widget, a terminal, a prompt) and nowhere else, so that what is stored stays
what the user brought. Neutralising added tokens closes the known way to forge a chat turn; it does not make a model
immune to instructions written in plain words inside a document.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

# C0 except tab and newline, DEL, C1; bidirectional embeddings, overrides, isolates and marks; line and paragraph
# separators; interlinear annotations; tag characters. Zero-width joiners stay: scripts and emoji need them.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)
_TAGS = re.compile(
    "(?P<flag>\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f)|[\U000e0000-\U000e007f]"
)
_JOINER = "\u2060"  # WORD JOINER: invisible, and no tokenizer has an added token with it inside


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)  # the picture of the control character, e.g. SYMBOL FOR ESCAPE
    return "\u2421" if code == 0x7F else "\ufffd"


def for_terminal(text: str, *, one_line: bool = False) -> str:
    """Text that cannot move the cursor, colour, reorder or command a terminal; each such character becomes visible.

    Args:
        text: anything, from anywhere.
        one_line: also turn newlines and tabs into spaces (table cells, titles).
    """
    text = text.replace("\r\n", "\n")
    if one_line:
        text = re.sub(r"[\n\t]+", " ", text)
    return _UNSAFE.sub(_visible, text)


def for_json(dumped: str) -> str:
    """JSON that means the same, in which each character that could act on a terminal is an escape (`\\u202e`)."""
    return _UNSAFE.sub(lambda match: json.dumps(match[0])[1:-1], dumped)


@lru_cache(maxsize=16)
def _any_of(tokens: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(token) for token in sorted(tokens, key=len, reverse=True)))


def for_template(text: str, added_tokens: Iterable[str]) -> str:
    """Text in which no added token of the tokenizer occurs, so that it cannot forge a turn of a chat.

    A word joiner is put behind the first character of every occurrence: the text reads the same and tokenises as
    ordinary characters. Characters that NFKC folds into an added token are neutralised too, for tokenizers that
    normalise; all of the text is folded then.

    Args:
        text: a passage, a question, a pair.
        added_tokens: what the tokenizer reads as one token, and what its chat template writes between turns. Left
            alone are those of whitespace only, and those
            of a single character, which nothing can be put into: such a token still occurs in the result.
    """
    tokens = {token for token in added_tokens if token.strip() and len(token) > 1}
    if not tokens:
        return text
    text = _broken(text, _any_of(tuple(sorted(tokens))))
    if text.isascii():
        return text
    # A tokenizer that folds its input folds its tokens, too.
    folds = _any_of(tuple(sorted(tokens | {unicodedata.normalize("NFKC", token) for token in tokens})))
    folded = unicodedata.normalize("NFKC", text)
    return _broken(folded, folds) if folds.search(folded) else text


def without_hidden(text: str) -> str:
    """Text without tag characters, in which words can be written that a model reads and no person sees.

    Those that make the flag of a region (U+1F3F4, letters, U+E007F) stay.
    """
    return _TAGS.sub(lambda match: match["flag"] or "", text)


def _broken(text: str, pattern: re.Pattern[str]) -> str:
    while pattern.search(text):  # again, as occurrences may overlap
        text = pattern.sub(lambda match: match[0][0] + _JOINER + match[0][1:], text)
    return text
