"""The checks of a pair by itself: empty or equal sides, its format, control tokens, secrets, language, length."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from workbench import formats
from workbench.checks.findings import Detail
from workbench.checks.personal import personal_data, secrets
from workbench.checks.settings import CheckSettings
from workbench.pairs.pair import Pair
from workbench.text import for_template

VERSION = 2
"""Raised when a check finds something else in the same text, so that all pairs are checked again."""
LONGER = 2.0
"""A chosen answer so many times as long as the rejected one is preferred for its length, perhaps."""
_LETTERS = 40
"""Letters that a text must have for its language to be told."""
_SHOWN = 3


@dataclass(frozen=True)
class Model:
    """What a pair becomes in training."""

    fingerprint: str
    """Tells the tokenizer, and the system prompt, from others."""
    control_strings: tuple[str, ...]
    tokens: Callable[[Pair], int]
    """How many tokens training would count. Raises NotRendered."""


class NotRendered(Exception):
    """The chat template has no words for a pair's turns; the message tells why."""


@dataclass(frozen=True)
class Found:
    """What is found in a pair by itself."""

    tokens: int | None
    language: str
    """Its code, "" where the text is too short to tell."""
    sure: float
    """How probable it is."""
    flags: list[tuple[str, str]]
    """(flag, what it says)."""


class TextChecks:
    """The checks as the settings of a dataset and a model want them."""

    def __init__(self, settings: CheckSettings, model: Model | None) -> None:
        self._settings, self._model = settings, model
        about = [VERSION, settings.pattern, settings.schema, settings.language, model and model.fingerprint]
        self.version = hashlib.blake2b(json.dumps(about).encode(), digest_size=8).digest()
        """The same for the same checks: what was found need not be found again."""

    def check(self, pair: Pair) -> Found:
        """Everything that this pair shows by itself."""
        answers = [text for text in (pair.completion, pair.chosen, pair.rejected) if text is not None]
        texts = [message["content"] for message in pair.messages] + answers
        whole = "\n".join(texts)
        language, sure = _language(f"{pair.prompt}\n{pair.answer}")
        flags = [*self._sides(pair, answers), *self._format(pair, answers)]
        if self._model and (found := _controls(texts, self._model.control_strings)):
            flags.append(("control-tokens", f"holds {', '.join(found[:_SHOWN])}"))
        for flag, kinds in (
            ("secret", secrets(whole)),
            ("personal-data", personal_data(whole, self._settings.language or language or "en")),
        ):
            if told := list(dict.fromkeys(kinds)):
                more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
                flags.append((flag, ", ".join(told[:_SHOWN]) + more))
        tokens = None
        try:
            tokens = self._model.tokens(pair) if self._model else None
        except NotRendered as error:
            told = [says for name, says in flags if name == "format"]
            flags = [each for each in flags if each[0] != "format"]
            flags.append(("format", "; ".join([*told, f"the model's chat template refuses its turns: {error}"])))
        return Found(tokens, language, sure, flags)

    def _sides(self, pair: Pair, answers: list[str]) -> list[tuple[str, str]]:
        flags = []
        bare = [name for name, text in (("prompt", pair.prompt), *zip(_names(pair), answers, strict=True))
                if not _readable(text)]  # fmt: skip
        if bare:
            flags.append(("empty", f"nothing to read in its {' and '.join(bare)}"))
        prompt = _plain(pair.prompt)
        if prompt and any(_plain(text) == prompt for text in answers):
            flags.append(("same-both-sides", "the answer is the prompt"))
        if pair.chosen is not None and pair.rejected is not None and _plain(pair.chosen) == _plain(pair.rejected):
            flags.append(("identical-sides", "chosen and rejected differ in case, spaces and punctuation alone"))
        return flags

    def _format(self, pair: Pair, answers: list[str]) -> list[tuple[str, str]]:
        settings = self._settings
        wanted = [pair.answer] if pair.is_preference else answers  # a rejected answer may be rejected for its format
        if not (settings.pattern or settings.schema) or all(
            formats.holds(text, settings.pattern, settings.schema) for text in wanted
        ):
            return []
        return [("format", f"the answer does not hold {settings.format_in_words}")]


def length_bias(pair: Pair) -> str:
    """How much longer the chosen answer is, where it may be preferred for that; empty: it is not.

    It is no part of `TextChecks.check`: whether a person has chosen at all is told by the pair's tags, not by its key.
    """
    if pair.chosen is None or pair.rejected is None or pair.is_undecided:
        return ""
    if _plain(pair.chosen) == _plain(pair.rejected) or len(pair.chosen) < LONGER * len(pair.rejected):
        return ""
    return f"chosen is {len(pair.chosen) / max(1, len(pair.rejected)):.1f} times as long as rejected"


def to_json(found: Found) -> list[Any]:
    """As it is kept."""
    return [found.tokens, found.language, round(found.sure, 3), found.flags]


def from_json(kept: list[Any]) -> Found:
    """What `to_json` wrote."""
    tokens, language, sure, flags = kept
    return Found(tokens, language, sure, [(name, says) for name, says in flags])


def flag(says: str) -> str:
    """The detail of a flag that says this and no more."""
    return str(Detail(says))


def _names(pair: Pair) -> list[str]:
    return ["chosen", "rejected"] if pair.is_preference else ["completion"]


def _readable(text: str) -> bool:
    """Whether it has a letter, a digit or a symbol: spaces of no width and full stops alone say nothing."""
    return any(unicodedata.category(letter)[0] in "LNS" for letter in text)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))


def _controls(texts: list[str], strings: tuple[str, ...]) -> list[str]:
    """The control tokens in the texts, also those that only a tokenizer that folds its input would see."""
    if all(for_template(text, strings) == text for text in texts):
        return []
    folded = [unicodedata.normalize("NFKC", text) for text in texts]
    return [string for string in strings if len(string) > 1 and string.strip() and any(string in t for t in folded)]


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _language(text: str) -> tuple[str, float]:
    if sum(map(str.isalpha, text[:400])) < _LETTERS:
        return "", 0.0
    code, sure = _identifier().classify(text[:2000])
    return code, float(sure)
