"""Finding the documents in the files and folders that a user named, and reading them as text.

Only regular files inside what was named are read; a bad one is a `Fault`, never the end of the others.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import UserError
from workbench.library.decoding import decode
from workbench.library.parsing import Parser
from workbench.library.structure import SourceText
from workbench.library.tables import rows_as_text

_CODE = (
    "py", "pyi", "js", "jsx", "mjs", "cjs", "ts", "tsx", "go", "rs", "c", "h", "cc", "cpp", "cxx", "hh", "hpp", "cs",
    "java", "kt", "kts", "scala", "swift", "m", "mm", "rb", "php", "pl", "pm", "lua", "r", "jl", "sh", "bash", "zsh",
    "fish", "ps1", "sql", "toml", "yaml", "yml", "json", "ini", "cfg", "xml", "css", "scss", "less", "vue", "svelte",
    "proto", "graphql", "tf", "cmake", "gradle", "dart", "ex", "exs", "erl", "hs", "ml", "clj", "el", "vim", "tex",
)  # fmt: skip
KINDS = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".txt": "text",
    ".text": "text",
    ".rst": "text",
    ".log": "text",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
    ".docx": "docx",
    ".epub": "epub",
    ".csv": "table",
    ".tsv": "table",
} | {f".{ending}": "code" for ending in _CODE}
"""What is read, by the ending of the file's name; other files are passed over."""
KINDS_IN_WORDS = "Markdown, text, HTML, PDF, DOCX, EPUB, CSV, TSV or source code"

PARSED = frozenset(("html", "pdf", "docx", "epub"))
"""Kinds that are read in a process of their own."""
PASSED_OVER = frozenset(("node_modules", "__pycache__"))
"""Folders that hold what others wrote or what is made anew; so are those marked by CACHEDIR.TAG or pyvenv.cfg."""
MAX_TEXT_BYTES = 20_000_000
MAX_PARSED_BYTES = 200_000_000
_TITLE = re.compile(r"^#[ \t]++(.{1,300}?)[ \t]{0,300}+#{0,300}+$", re.MULTILINE)


class UnreadableError(Exception):
    """A document cannot be read; the message says why, in a few words."""


@dataclass(frozen=True)
class Found:
    """A file that may be a document."""

    path: Path
    name: str
    """What it is called in the index: its path inside the folder named; unique in one `find`."""


@dataclass(frozen=True)
class Fault:
    """A file that is not indexed, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class FileContent:
    """The bytes of a file, as they were at one moment."""

    data: bytes
    sha256: str
    modified: float
    """Seconds since the epoch."""


def find(sources: Sequence[Path]) -> tuple[list[Found], list[Fault]]:
    """The documents in files and folders, in a fixed order, and what looks like one but is refused.

    Hidden files and folders and files of other kinds are passed over. Links are not followed; one that leads out of
    its folder is a fault.

    Raises:
        UserError: a source does not exist: it may be a drive that is not mounted, so nothing is concluded from it.
    """
    found: list[Found] = []
    faults: list[Fault] = []
    paths: set[Path] = set()
    names: set[str] = set()
    for source in sources:
        if not source.exists():
            raise UserError(
                "no such file or folder", where=str(source), do="Bring it back, or build the index without it."
            )
        root = source.resolve()
        inside = _walk(root, faults) if root.is_dir() else iter([root])
        for path in inside:
            if path in paths:
                continue
            paths.add(path)
            relative = path.relative_to(root).as_posix() if path != root else path.name
            if not _is_utf8(relative):
                faults.append(Fault(shown(path), "its name is not UTF-8"))
                continue
            if path.suffix.lower() not in KINDS:
                faults.append(Fault(shown(path), f"is not {KINDS_IN_WORDS}"))  # only a file named by itself
                continue
            candidates = (relative, f"{root.name}/{relative}", str(path))
            name = next(name for name in candidates if name not in names)
            names.add(name)
            found.append(Found(path, name))
    return found, faults


def read_content(path: Path) -> FileContent:
    """Read a regular file whole, without following a link.

    Raises:
        UnreadableError: it is a link, not a regular file, too large, or may not be read.
    """
    limit = MAX_PARSED_BYTES if KINDS[path.suffix.lower()] in PARSED else MAX_TEXT_BYTES
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableError("is not a regular file")
            data = file.read(limit + 1)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {(error.strerror or str(error)).lower()}") from None
    if len(data) > limit:
        raise UnreadableError(f"is larger than {limit // 1_000_000} MB")
    return FileContent(data, hashlib.sha256(data).hexdigest(), status.st_mtime)


def to_text(path: Path, data: bytes, parser: Parser) -> SourceText:
    """The text of a document and where its pages begin.

    Args:
        path: decides the kind by its ending; the file is not opened.
        data: the file's bytes.
        parser: reads what is not plain text, in a process of its own.

    Raises:
        UnreadableError: it is not what its ending says, is damaged, or holds no text.
    """
    kind = KINDS[path.suffix.lower()]
    source = _parsed(path, kind, data, parser) if kind in PARSED else _plain(path, kind, data)
    if not source.text.strip():
        raise UnreadableError("holds no text" + (" (are its pages pictures?)" if kind == "pdf" else ""))
    return source


def _plain(path: Path, kind: str, data: bytes) -> SourceText:
    text = decode(data)
    if text is None:
        raise UnreadableError("is not text")
    if kind == "markdown":
        return SourceText(text, _first_heading(text) or path.stem)
    if kind == "table":
        return SourceText(rows_as_text(text, tabs=path.suffix.lower() == ".tsv"), path.stem, "rows")
    if kind == "code":
        return SourceText(text, path.name, "code", language=path.suffix.lower()[1:])
    return SourceText(text, path.stem, "plain")


def _parsed(path: Path, kind: str, data: bytes, parser: Parser) -> SourceText:
    parsed = parser.parse(kind, data)
    if parsed.error is not None:
        raise UnreadableError(parsed.error)
    pieces, starts, at = [], [], 0
    for page in parsed.pages:
        starts.append(at)
        pieces.append(page.strip().replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd") + "\n\n")
        at += len(pieces[-1])
    text = "".join(pieces).rstrip() + "\n"
    title = parsed.title or _first_heading(text) or path.stem
    return SourceText(text, title, has_lines=False, page_starts=tuple(starts) if parsed.paged else ())


def _first_heading(markdown: str) -> str:
    title = _TITLE.search(markdown)
    return " ".join(title[1].split()) if title else ""


def shown(path: Path) -> str:
    """A path as text that can be stored and sent, also when its name is not UTF-8."""
    return os.fsencode(path).decode("utf-8", errors="replace")


def _walk(root: Path, faults: list[Fault]) -> Iterator[Path]:
    for folder, folders, files in os.walk(root, onerror=lambda error: faults.append(_unlisted(error))):
        for name in [*folders, *files]:
            path = Path(folder, name)
            if path.is_symlink() and not name.startswith(".") and not _leads_inside(path, root):
                faults.append(Fault(shown(path), "is a link out of the folder; it is not followed"))
        folders[:] = sorted(name for name in folders if is_entered(Path(folder, name)))
        for name in sorted(files):
            path = Path(folder, name)
            if not name.startswith(".") and path.suffix.lower() in KINDS and not path.is_symlink():
                yield path


def is_entered(folder: Path) -> bool:
    """Whether a folder inside one that was named is looked into: hidden ones, links and what tools fill are not."""
    if folder.name.startswith(".") or folder.name in PASSED_OVER or folder.is_symlink():
        return False
    return not any((folder / mark).exists() for mark in ("CACHEDIR.TAG", "pyvenv.cfg"))


def _unlisted(error: OSError) -> Fault:
    return Fault(shown(Path(error.filename)), f"cannot be listed: {(error.strerror or str(error)).lower()}")


def _leads_inside(link: Path, root: Path) -> bool:
    try:
        return link.resolve().is_relative_to(root)
    except (OSError, RuntimeError):  # a circle of links
        return False


def _is_utf8(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
