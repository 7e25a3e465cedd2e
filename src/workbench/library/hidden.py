"""Taking out of HTML, EPUB and Word files what a reader of them does not see, before they become text.

The reader (xberg) leaves out scripts, comments, `hidden`, display:none, visibility:hidden and deleted text by itself;
this finds the other ways. What only a browser could know is not found: styles from elsewhere, set by a script or by a
selector of several parts, text in the colour of its background or under a picture; nor is invisible text of a PDF,
which scans have for good reason.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from xml.parsers import expat

MAX_ARCHIVE_BYTES = 256 << 20
"""What an archive may hold when it is unpacked; more is taken for a bomb."""
MAX_ARCHIVE_FILES = 5000
MAX_SELECTORS = 200
"""Of a document's styles that hide something, as many are looked at."""

_OFF = r"-\d{3,}(?:\.\d+)?(?:px|pt|em|rem|ex|ch|vw|vh|%)"
_HIDING = re.compile(
    r"(?:^|[;{\s])(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|content-visibility\s*:\s*hidden"
    r"|opacity\s*:\s*0*(?:\.0+)?(?![\d.])|font-size\s*:\s*(?:0*(?:\.\d+)?(?:px|pt|em|rem|ex|%)?|1(?:px|pt|%))(?![\w.%])"
    rf"|(?:left|top|right|bottom|text-indent|margin-left|margin-top)\s*:\s*{_OFF}"
    r"|clip\s*:\s*rect\(\s*[01](?:px)?[\s,]+[01](?:px)?[\s,]+[01](?:px)?[\s,]+[01](?:px)?\s*\)"
    r"|clip-path\s*:\s*inset\(\s*(?:50|100)%\s*\)|transform\s*:\s*scale\(\s*0\s*\))",
    re.IGNORECASE,
)
_NO_SIZE = re.compile(r"(?:^|[;{\s])(?:max-)?(?:width|height)\s*:\s*[01](?:px)?\s*(?:[;}!]|$)", re.IGNORECASE)
_CUT_OFF = re.compile(r"overflow\s*:\s*(?:hidden|clip)", re.IGNORECASE)
_STYLE = re.compile(
    r"""(<[a-z][^<>]{0,4000}?\sstyle\s*=\s*)("[^"]{0,4000}"|'[^']{0,4000}'|[^\s"'>]{1,400})""", re.IGNORECASE
)
_SHEET = re.compile(r"<(/?)style\b[^<>]{0,400}>", re.IGNORECASE)
_RULE = re.compile(r"([^{}]{1,2000})\{([^{}]{0,4000})\}")
_SELECTOR = re.compile(r"(?:[\w-]{1,80}|\*)?(?:[.#][\w-]{1,80}|\[[^\[\]]{1,80}\])?")  # those that the reader knows
_ALL = frozenset(("", "*", "html", "body"))
_NESTING = re.compile(
    r"<(/?)(?:div|span|section|article|main|ul|ol|dl|table|blockquote|center|font|b|i|em|strong|small|big|u|s|sub|sup"
    r"|details|figure|form|fieldset)\b",
    re.IGNORECASE,
)
_SMALLEST = 3  # half points: text of a point and a half cannot be read


def is_hidden(style: str) -> bool:
    """Whether declarations of CSS take what they apply to out of sight."""
    return bool(_HIDING.search(style) or (len(_NO_SIZE.findall(style)) > 0 and _CUT_OFF.search(style)))


def mark_hidden(markup: str) -> str:
    """HTML in which every element that its own style hides says display:none, which the reader knows."""

    def marked(match: re.Match[str]) -> str:
        return match[1] + '"display:none"' if is_hidden(match[2].strip("\"'")) else match[0]

    return _STYLE.sub(marked, markup)


def hiding_selectors(sheets: str) -> list[str]:
    """The selectors of a style sheet that hide something always: not in print alone, not while something is pressed."""
    found: dict[str, None] = {}
    for rule in _RULE.finditer(_without_conditions(re.sub(r"/\*.*?\*/", "", sheets, flags=re.DOTALL))):
        if not is_hidden(rule[2]):
            continue
        for selector in map(str.strip, rule[1].rsplit(";", 1)[-1].split(",")):
            if _SELECTOR.fullmatch(selector) and selector.lower() not in _ALL:
                found[selector] = None
    return list(found)[:MAX_SELECTORS]


def style_sheets(markup: str) -> str:
    """The style sheets that HTML holds."""
    found, begun = [], None
    for match in _SHEET.finditer(markup):
        if not match[1]:
            begun = match.end() if begun is None else begun
        elif begun is not None:
            found.append(markup[begun : match.start()])
            begun = None
    return "\n".join(found)


def nesting(markup: str) -> int:
    """How deep elements that must be closed stand in each other, about."""
    depth = deepest = 0
    for match in _NESTING.finditer(markup):
        depth = max(0, depth - 1) if match[1] else depth + 1
        deepest = max(deepest, depth)
    return deepest


def rewritten(archive: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """An archive (DOCX, EPUB) with some of its files changed.

    Raises:
        ValueError: it is no archive, or holds more than `MAX_ARCHIVE_BYTES`.
    """
    left, files = MAX_ARCHIVE_BYTES, 0
    made = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as new:
            for info in old.infolist():
                files += 1
                if files > MAX_ARCHIVE_FILES:
                    raise ValueError(f"it holds more than {MAX_ARCHIVE_FILES} files")
                if info.is_dir():
                    continue
                with old.open(info) as file:
                    data = file.read(left + 1)  # what it is declared to hold may be a lie
                left -= len(data)
                if left < 0:
                    raise ValueError(f"it holds more than {MAX_ARCHIVE_BYTES >> 20} MB")
                new.writestr(info.filename, change(info.filename, data))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise ValueError(f"it is no sound archive: {error}") from None
    return made.getvalue()


def members(archive: bytes, endings: tuple[str, ...]) -> dict[str, bytes]:
    """The small files of an archive whose names end so; of a broken one those before the damage."""
    found = {}
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as file:
            for info in file.infolist()[:MAX_ARCHIVE_FILES]:
                if info.filename.lower().endswith(endings) and info.file_size < 1_000_000:
                    with file.open(info) as member:
                        found[info.filename] = member.read(1_000_000)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError):
        pass
    return found


def without_hidden_runs(document: bytes, hidden_styles: frozenset[str]) -> bytes:
    """A Word document's XML without runs that are hidden or too small to read; all else is byte for byte the same.

    Args:
        document: word/document.xml, or a header, footer or note.
        hidden_styles: from `hidden_word_styles`.

    Raises:
        ExpatError: it is no XML.
    """
    if not hidden_styles and b"anish" not in document and b":sz " not in document:
        return document
    parser = expat.ParserCreate()
    path: list[str] = []
    paragraphs: list[bool] = []  # of those that are open: whether its style hides it
    runs: list[tuple[int, bool]] = []  # of those that are open: where it begins, whether it is hidden
    cuts: list[tuple[int, int]] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        name = _local(tag)
        if name == "p":
            paragraphs.append(False)
        elif name == "r":
            runs.append((parser.CurrentByteIndex, bool(paragraphs) and paragraphs[-1]))
        elif path[-1:] == ["pPr"] and name == "pStyle" and paragraphs:
            paragraphs[-1] = _value(attributes) in hidden_styles
        elif path[-2:] == ["r", "rPr"] and runs and _hides(name, _value(attributes), hidden_styles):
            runs[-1] = (runs[-1][0], True)
        path.append(name)

    def end(tag: str) -> None:
        path.pop()
        name = _local(tag)
        if name == "p" and paragraphs:
            paragraphs.pop()
        elif name == "r" and runs:
            begin, is_cut = runs.pop()
            if is_cut and document[parser.CurrentByteIndex : parser.CurrentByteIndex + 2] == b"</":
                cuts.append((begin, document.index(b">", parser.CurrentByteIndex) + 1))

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.Parse(document, True)
    kept, at = [], 0
    for begin, last in sorted(cuts):
        if begin >= at:  # not inside one that is cut already
            kept.append(document[at:begin])
            at = last
    return b"".join([*kept, document[at:]])


def hidden_word_styles(styles: bytes) -> frozenset[str]:
    """The ids of the styles in word/styles.xml that hide what they apply to."""
    found, path, style = set(), [], ""

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal style
        name = _local(tag)
        if name == "style":
            style = next((value for key, value in attributes.items() if _local(key) == "styleId"), "")
        elif path[-2:] == ["style", "rPr"] and _hides(name, _value(attributes), frozenset()):
            found.add(style)
        path.append(name)

    if b"anish" in styles:
        parser = expat.ParserCreate()
        parser.StartElementHandler, parser.EndElementHandler = start, lambda tag: path.pop()
        parser.Parse(styles, True)
    return frozenset(found)


def _hides(name: str, value: str | None, hidden_styles: frozenset[str]) -> bool:
    """Whether one property of a run takes it out of sight."""
    if name in ("vanish", "specVanish"):
        return (value or "true").lower() not in ("0", "false", "off")
    if name == "sz":
        return value is not None and value.isascii() and value.isdigit() and int(value[:9]) <= _SMALLEST
    return name == "rStyle" and value in hidden_styles


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _value(attributes: dict[str, str]) -> str | None:
    return next((value for key, value in attributes.items() if _local(key) == "val"), None)


def _without_conditions(sheet: str) -> str:
    """A style sheet without its @media print, @supports and the like; @media screen and all stay."""
    kept, at = [], 0
    while (begin := sheet.find("@", at)) >= 0:
        opened = sheet.find("{", begin)
        ended = sheet.find(";", begin)
        kept.append(sheet[at:begin])
        if opened < 0 or 0 <= ended < opened:  # @import and its kin
            at = ended + 1 if ended >= 0 else len(sheet)
            continue
        depth, close = 1, opened + 1
        for brace in re.compile(r"[{}]").finditer(sheet, opened + 1):
            depth += 1 if brace[0] == "{" else -1
            close = brace.end()
            if depth == 0:
                break
        if re.fullmatch(r"@media\s+(?:screen|all)\s*", sheet[begin:opened], re.IGNORECASE):
            kept.append(sheet[opened + 1 : close - 1])
        at = close
    return "".join([*kept, sheet[at:]])
