"""Which class, function, table or key every line of a source file stands in, seen by its indentation.

It does not parse: a line that looks like a definition opens a place, and the next line that is not indented deeper
closes it. Good for most files as they are formatted today; where it errs, only a heading is wrong, never the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_LONGEST = 300  # characters: a longer line defines nothing
_DEEPEST = 6
_CONTROL = frozenset((
    "if", "else", "elif", "for", "foreach", "while", "do", "switch", "case", "catch", "with", "return", "throw",
    "new", "await", "yield", "assert", "using", "lock", "try", "not", "and", "or", "in", "is", "when", "match",
    "loop", "unless", "until", "print", "typeof", "sizeof", "defer", "go", "del", "raise",
))  # fmt: skip
_NAMED = re.compile(
    r"(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|pub(?:\([\w:]{1,20}\))?"
    r"|unsafe|extern|inline|virtual|override|sealed|partial|data|open|suspend|declare|const)\s+){0,6}"
    r"(?:class|interface|enum|struct|trait|impl|module|namespace|def|fn|func|function|fun|type|record|object|protocol"
    r"|extension|mod|union)\b(?:<[^<>]{0,80}>|\s*\*)?\s+(?:\([^()]{0,80}\)\s*)?(?:class\s+)?"
    r"(?P<name>[\w$][\w$.:!?~]{0,80}(?:<[^<>]{0,80}>)?(?:\s+for\s+[\w:]{1,80})?)"
)
_ASSIGNED = re.compile(
    r"(?:export\s+)?(?:default\s+)?(?:const|let|var)\s+(?P<name>[\w$]{1,80})\s*(?::[^=]{1,80})?=\s*(?:async\s*)?"
    r"(?:function\b|\([^()]{0,200}\)\s*(?::[^=]{1,80})?=>|[\w$]{1,80}\s*=>|class\b)"
)
# A function of C and its kin, or a method of JavaScript: words, a name, parentheses, and then its body.
_CALLED = re.compile(r"(?P<before>(?:[\w:<>,\[\]~.@]+[ \t*&]+){0,6})(?P<name>[\w$:~#]{1,80})[ \t]*\([^;]*\{\s*$")
_SQL = re.compile(
    r"create\s+(?:or\s+replace\s+)?(?:(?:temp|temporary|unique|materialized|virtual|global|local)\s+){0,3}"
    r"(?:table|view|function|procedure|trigger|index|type|schema)\s+(?:if\s+not\s+exists\s+)?(?P<name>[\w.\"`\[\]]{1,80})",
    re.IGNORECASE,
)
_SECTION = re.compile(r"\[{1,2}(?P<name>[^\[\]]{1,80})\]{1,2}\s*(?:[#;].*)?$")
_KEY = re.compile(r"""(?:-\s+)?["']?(?P<name>[\w./$@ -]{1,60}?)["']?\s*:\s*(?:[|>&!{\[][^:]{0,20})?(?:#.*)?$""")
_NEUTRAL = re.compile(r"#|//|/\*|\*|--|@|<!--|(?:public|private|protected|default|case\b[^:]*)\s*:\s*$")
_CLOSING = re.compile(r"[)\]}{]|end\b|then\b|else\b|fi\b|done\b|esac\b")
_LEADING = re.compile(r"#(?!\s*(?:if|else|elif|endif|include|define))|//|/\*|\*|--|@|;")
_PATTERNS = {
    "sql": (_SQL,),
    "toml": (_SECTION,),
    "ini": (_SECTION,),
    "cfg": (_SECTION,),
    "yaml": (_KEY,),
    "yml": (_KEY,),
    "json": (_KEY,),
}


def outline(text: str, language: str) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """Yield (names around it, outermost first, start, end) of every stretch of lines; together they are the text.

    A definition begins with the comments and decorators right above it, and is the last name of its own lines.

    Args:
        text: a source file.
        language: the ending of its name, without the dot.
    """
    patterns = _PATTERNS.get(language, (_NAMED, _ASSIGNED, _CALLED))
    keyed = patterns == (_KEY,)
    flat = patterns in ((_SQL,), (_SECTION,))  # a place lasts until the next one begins
    open_places: list[tuple[int, str]] = []
    begun = at = 0
    leading: tuple[int, int] | None = None  # where the comments right above begin, and their indentation
    lines = text.split("\n")
    for number, line in enumerate(lines):
        start, at = at, at + len(line) + 1
        bare = line.strip()
        if not bare:
            leading = None
            continue
        indent = len(line[: len(line) - len(line.lstrip())].expandtabs(4))
        following = lines[number + 1].strip() if number + 1 < len(lines) else ""
        name = _defined(bare + " {" if following == "{" else bare, patterns) if len(bare) <= _LONGEST else None
        if name is None and (flat or bare[0] == "#" or _CLOSING.match(bare) or (not keyed and _NEUTRAL.match(bare))):
            if not _LEADING.match(bare):
                leading = None
            elif leading is None or leading[1] != indent:
                leading = (start, indent)
            continue
        path = [] if flat else [place for place in open_places if place[0] < indent]
        if name is not None:
            path = [*path, (indent, name)][-_DEEPEST:]
        if path != open_places or (name is not None and not keyed):
            from_here = leading[0] if leading and leading[1] == indent and name is not None else start
            if text[begun:from_here].strip():
                yield tuple(place for _, place in open_places), begun, from_here
                begun = from_here
            open_places = path
        leading = None
    if text[begun:].strip():
        yield tuple(place for _, place in open_places), begun, len(text)


def _defined(line: str, patterns: tuple[re.Pattern[str], ...]) -> str | None:
    for pattern in patterns:
        match = pattern.match(line)
        if match is None:
            continue
        name = match["name"].strip(" .:\"'`[]")
        words = (match["before"].split() if pattern is _CALLED else []) + [name]
        if name and not _CONTROL.intersection(words):
            return name
    return None
