"""Secrets and personal data in a text, by patterns and check digits. Nothing is sent anywhere to verify it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detect_secrets.plugins.base import BasePlugin

_LEFT_OUT = ("Base64HighEntropyString", "HexHighEntropyString", "IPPublicDetector")
"""Of detect-secrets: entropy fires on prose, and an address is no secret."""
_KEYWORD = "Secret Keyword"
"""The kind of what stands behind a name such as "password", by quotes; and of what the next finds without them."""
_SETTING = re.compile(
    r"(?<![\w$])[A-Z0-9_]*(?:KEY|TOKEN|SECRET|PASS|PASSWORD|PASSWD|PWD)(?:_[A-Z0-9_]+)?=([^\s'\"`$<>(){}\[\],;&]+)"
)
"""DB_PASSWORD=..., as in a file .env or before a command."""
_MAIL = re.compile(r"[\w.+%-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}\b")
_NO_MAIL = re.compile(r"@(?:.*\.)?example\.(?:com|org|net)$|\.(?:example|test|invalid|png|jpg)$", re.IGNORECASE)
_PHONE = re.compile(r"(?<![\w.,/-])\+?\(?\d[\d ()/.-]{7,20}\d(?![\w-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")
_CARD = re.compile(r"(?<![\d.,-])\d(?:[ -]?\d){12,18}(?![\d-])")
_REGIONS = {"en": "US", "de": "DE", "fr": "FR", "es": "ES", "it": "IT", "pt": "PT", "nl": "NL", "ru": "RU", "ja": "JP"}
"""Where a phone number without a country code is dialled, by the language of the text."""


def secrets(text: str) -> Iterator[str]:
    """What kinds of keys, tokens and passwords stand in a text, each with its beginning."""
    for plugin in _plugins():
        if plugin.secret_type != _KEYWORD:
            yield from (f"{plugin.secret_type}: {_masked(value)}" for value in plugin.analyze_string(text) if value)
            continue
        for line in text.splitlines():  # of each it tells the first one alone
            values = [*plugin.analyze_string(line), *_SETTING.findall(line)]
            yield from (f"{_KEYWORD}: {_masked(value)}" for value in values if value and _is_password(value))


def personal_data(text: str, language: str = "en") -> Iterator[str]:
    """E-mail addresses, phone numbers, IBANs and card numbers in a text, masked.

    Numbers count only where their check digits, or the numbering plan of the country, say so.
    """
    if "@" in text:
        yield from (f"e-mail: {_masked(match[0])}" for match in _MAIL.finditer(text) if not _NO_MAIL.search(match[0]))
    if not any(letter.isdigit() for letter in text):
        return
    for match in _IBAN.finditer(text):
        if _valid("iban", match[0]):
            yield f"IBAN: {_masked(match[0])}"
    cards = [match for match in _CARD.finditer(text) if match[0][0] in "23456" and _valid("luhn", match[0])]
    yield from (f"card number: {_masked(match[0])}" for match in cards)
    for match in _PHONE.finditer(text):
        inside_card = any(card.start() <= match.start() < card.end() for card in cards)
        if not inside_card and _is_phone(match[0], _REGIONS.get(language, "US")):
            yield f"phone: {_masked(match[0])}"


@lru_cache(maxsize=1)
def _plugins() -> list[BasePlugin]:
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    kinds = get_mapping_from_secret_type_to_class().values()
    return [kind() for kind in kinds if kind.__name__ not in _LEFT_OUT]


def _is_password(value: str) -> bool:
    """Whether what stands behind "password:" can be one: `password: required` is none."""
    return len(value) >= 8 and any(map(str.isdigit, value)) and any(map(str.isalpha, value)) and " " not in value


def _valid(kind: str, text: str) -> bool:
    if kind == "iban":
        from stdnum import iban

        return iban.is_valid(text)
    from stdnum import luhn

    return luhn.is_valid(re.sub(r"\D", "", text))


def _is_phone(text: str, region: str) -> bool:
    """Whether the numbering plan has it, and it is written as a phone number: with a plus, or in groups."""
    if sum(map(str.isdigit, text)) < 9 or not (text.startswith(("+", "(")) or len(re.findall(r"[ ()/.-]+", text)) > 1):
        return False
    import phonenumbers

    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text, region))
    except phonenumbers.NumberParseException:
        return False


def _masked(text: str) -> str:
    """Enough to find it in the pair by: the flag is not a second copy."""
    return text[: min(4, len(text) // 4)] + "…"
