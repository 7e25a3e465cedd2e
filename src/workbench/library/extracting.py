"""What the child process does with one file: PDF, HTML, EPUB and Word to Markdown.

It runs where its memory and time are limited (`workbench.library.parsing`), and may raise anything.
"""

from __future__ import annotations

import html
import re
from typing import Any

from workbench.library import hidden
from workbench.library.decoding import decode

MAX_CHARACTERS = 20_000_000
"""More text than this is taken for a bomb."""
MAX_NESTING = 400
"""Elements in each other; the reader's stack ends at some more."""

_MIME = {
    "pdf": "application/pdf",
    "html": "text/html",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "epub": "application/epub+zip",
}
_TITLE = re.compile(r"<title[^>]{0,200}>(.{1,500}?)</title>", re.IGNORECASE | re.DOTALL)
_PAGES = (".xhtml", ".html", ".htm", ".xml")
_DEEP = f"its elements stand in each other more than {MAX_NESTING} deep"


def extract(kind: str, data: bytes) -> dict[str, Any]:
    """Read a file.

    Args:
        kind: pdf, html, epub or docx.
        data: the whole file.

    Returns:
        pages: Markdown, page by page of a PDF, else one; paged: whether they are pages; title: "" where it has none.

    Raises:
        ValueError: it cannot be read; the message says why. Other exceptions come from the reader.
    """
    import asyncio

    import xberg

    title, selectors = "", []
    if kind == "html":
        text = decode(data, markup=True) or ""
        if hidden.nesting(text) > MAX_NESTING:
            raise ValueError(_DEEP)
        selectors = hidden.hiding_selectors(hidden.style_sheets(text))
        if match := _TITLE.search(text):
            title = " ".join(html.unescape(match[1]).split())
        data = hidden.mark_hidden(text).encode("utf-8", errors="replace")
    elif kind == "epub":
        data, selectors = _shown_epub(data)
    elif kind == "docx":
        data = _shown_docx(data)
    config = xberg.ExtractionConfig(
        use_cache=False,
        disable_ocr=True,
        output_format="markdown",
        escape_markdown=False,
        pages=xberg.PageConfig(extract_pages=True),
        html_options=xberg.ConversionOptions(
            extract_metadata=False, skip_images=True, max_depth=2 * MAX_NESTING, exclude_selectors=selectors
        ),
        security_limits=xberg.SecurityLimits(
            max_archive_size=hidden.MAX_ARCHIVE_BYTES, max_files_in_archive=hidden.MAX_ARCHIVE_FILES
        ),
    )
    source = xberg.ExtractInput(kind="bytes", bytes=data, mime_type=_MIME[kind])
    results = asyncio.run(xberg.extract(source, config)).results
    if not results:
        raise ValueError("nothing was found in it")
    document = results[0]
    if document.mime_type != _MIME[kind]:  # the reader goes by content; what it opens must be what was allowed
        raise ValueError(f"it is {document.mime_type}, not {_MIME[kind]}")
    paged = kind == "pdf"
    pages = [page.content for page in document.pages or []] if paged else [document.content]
    if sum(map(len, pages)) > MAX_CHARACTERS:
        raise ValueError(f"it holds more than {MAX_CHARACTERS // 1_000_000} million characters")
    return {"pages": pages, "paged": paged, "title": title or " ".join((document.metadata.title or "").split())}


def _shown_epub(data: bytes) -> tuple[bytes, list[str]]:
    """A book without what its chapters hide, and the selectors of the rest."""
    sheets = [sheet.decode("utf-8", errors="replace") for sheet in hidden.members(data, (".css",)).values()]

    def shown(name: str, content: bytes) -> bytes:
        if name == "META-INF/encryption.xml" and re.search(rb"URI=.[^\"']{1,400}\.x?html?[\"']", content):
            raise ValueError("it is encrypted")
        if not name.lower().endswith(_PAGES) or name.startswith("META-INF/"):
            return content
        text = decode(content, markup=True)
        if text is None:
            return content
        if hidden.nesting(text) > MAX_NESTING:
            raise ValueError(_DEEP)
        sheets.append(hidden.style_sheets(text))
        text = re.sub(r"""(<\?xml[^>]{0,100}encoding\s*=\s*["'])[\w-]{1,40}""", r"\1utf-8", text, count=1)
        return hidden.mark_hidden(text).encode("utf-8", errors="replace")

    data = hidden.rewritten(data, shown)
    return data, hidden.hiding_selectors("\n".join(sheets))


def _shown_docx(data: bytes) -> bytes:
    """A Word file without its hidden runs."""
    styles = hidden.members(data, ("word/styles.xml",)).get("word/styles.xml", b"")
    hiding = hidden.hidden_word_styles(styles)

    def shown(name: str, content: bytes) -> bytes:
        part = name.startswith("word/") and name.endswith(".xml") and "/" not in name.removeprefix("word/")
        return hidden.without_hidden_runs(content, hiding) if part and name != "word/styles.xml" else content

    return hidden.rewritten(data, shown)
