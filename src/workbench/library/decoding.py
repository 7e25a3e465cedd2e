"""Turning the bytes of a text into characters when the file does not say how.

In order: the mark at the beginning; what the file declares (HTML); UTF-8, also where a few bytes of it are damaged;
UTF-16 without a mark; what charset-normalizer concludes among the encodings in use; else Windows-1252, which gives
every byte a character. It knows nothing of files and formats.
"""

from __future__ import annotations

import codecs
import re

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with that one's
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# The most used first. Narrow lists: among all encodings a short text of one looks like correct text of another.
_LATIN = ["cp1252", "cp1250", "iso8859_2", "cp1254"]
_OTHER = ["cp1251", "koi8_r", "cp1253", "cp1255", "cp1256", "cp932", "euc_jp", "gb18030", "big5", "cp949", "tis_620"]
_SAMPLE = 65_536  # bytes that the encoding is concluded from
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_RUN = re.compile(rb"[\x80-\xff]+")
_DECLARED = re.compile(
    rb"""<meta[^>]{0,200}charset\s*=\s*["']?([\w-]{1,40})|<\?xml[^>]{0,100}encoding\s*=\s*["']([\w-]{1,40})""",
    re.IGNORECASE,
)


def decode(data: bytes, *, markup: bool = False) -> str | None:
    """The characters of a text, with "\\n" as its only newline and no NUL.

    Args:
        data: the whole file.
        markup: it is HTML, which may declare its encoding.

    Returns:
        None where it is no text: NULs stand in it as in a binary file.
    """
    text = _decode(data, markup)
    return None if text is None else text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")


def _decode(data: bytes, markup: bool) -> str | None:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    head = data[:_SAMPLE]
    if b"\x00" in head:
        encoding = _wide(head)
        return data.decode(encoding, errors="replace") if encoding else "" if markup else None
    for encoding in [*(_declared(data) if markup else []), "utf-8"]:
        try:
            text = data.decode(encoding)
            return text if encoding == "utf-8" else text.encode("utf-8", "replace").decode()  # no half of a character
        except (LookupError, UnicodeError):  # an encoding that does not exist, or is not this one
            continue
    text = data.decode("utf-8", errors="replace")
    damaged = text.count("\ufffd")
    if damaged * 20 < len(_NOT_ASCII.findall(head)) and damaged * 20 < len(text) - len(text.encode("ascii", "ignore")):
        return text
    return data.decode(_detected(data), errors="replace")


def _declared(data: bytes) -> list[str]:
    match = _DECLARED.search(data[:4096])
    name = (match[1] or match[2]).decode("ascii", "replace").lower() if match else ""
    if name in ("iso-8859-1", "latin1", "us-ascii", "ascii"):  # browsers read these as Windows-1252, so pages are that
        return ["utf-8", "cp1252"] if name.endswith("ascii") else ["cp1252"]
    return [name] if name else []


def _wide(head: bytes) -> str | None:
    """UTF-16 without a mark: one byte of most pairs is NUL, the other nearly never is."""
    even, odd, pairs = head[::2].count(0), head[1::2].count(0), len(head) // 2
    for rare, often, encoding in ((even, odd, "utf-16-le"), (odd, even, "utf-16-be")):
        if pairs >= 4 and often > 0.7 * pairs and rare < 0.02 * pairs:
            return encoding
    return None


def _detected(data: bytes) -> str:
    sample = _telling(data)
    high, runs = len(_NOT_ASCII.findall(sample)), len(_RUN.findall(sample))
    letters = len(sample) - sum(sample.count(space) for space in (b" ", b"\n", b"\t"))
    latin = high < 2.5 * runs and high < 0.45 * letters  # there they are single ones, elsewhere whole words
    candidates = _LATIN if latin else _OTHER
    from charset_normalizer import from_bytes

    matches = list(from_bytes(sample, cp_isolation=candidates, enable_fallback=False))
    if not matches:
        return "cp1252"
    best = matches[0]
    alike = {
        encoding
        for match in matches
        if match.chaos <= best.chaos + 0.02 and match.coherence >= best.coherence - 0.02
        for encoding in (match.encoding, *match.could_be_from_charset)
    }
    return next((encoding for encoding in candidates if encoding in alike), best.encoding)


def _telling(data: bytes) -> bytes:
    """The lines that tell the encoding: those that are not ASCII."""
    kept, size = [], 0
    for line in data[: 16 * _SAMPLE].split(b"\n"):
        if not line.isascii():
            kept.append(line[:_SAMPLE])
            size += len(kept[-1])
            if size > _SAMPLE:
                break
    sample = b"\n".join(kept)
    if not sample:  # only far behind, or in one long line
        first = _NOT_ASCII.search(data)
        sample = data[first.start() : first.start() + _SAMPLE] if first else b""
    if len(sample) >= _SAMPLE:  # never end within a character: a byte below 0x40 is no part of any
        whole = max(sample.rfind(b" ", 0, _SAMPLE), sample.rfind(b"\n", 0, _SAMPLE))
        sample = sample[: whole if whole > 0 else _SAMPLE]
    return sample
