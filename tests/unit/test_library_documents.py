"""Finding and reading documents: only what lies inside the folder named; a bad file is a fault, not the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sample_formats import docx
from sample_library import write_pdf

from workbench.errors import UserError
from workbench.library.documents import UnreadableError, find, read_content, to_text
from workbench.library.parsing import Parser


@pytest.fixture(scope="module")
def parser() -> Iterator[Parser]:
    with Parser() as child:
        yield child


def text_of(path: Path, parser: Parser) -> str:
    return to_text(path, read_content(path).data, parser).text


def test_finds_documents_in_order_and_passes_over_the_rest(tmp_path: Path) -> None:
    for name in ("b.md", "a.txt", "sub/c.html", ".hidden.md", ".git/d.md", "e.exe", "sub/.x/f.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    found, faults = find([tmp_path])
    assert [one.name for one in found] == ["a.txt", "b.md", "sub/c.html"]
    assert faults == []
    found, faults = find([tmp_path / "e.exe", tmp_path / "b.md", tmp_path])
    assert [one.name for one in found] == ["b.md", "a.txt", "sub/c.html"]
    assert [fault.path for fault in faults] == [str(tmp_path / "e.exe")]


def test_names_are_unique_over_several_folders(tmp_path: Path) -> None:
    folders = [tmp_path / "x" / "docs", tmp_path / "y" / "docs", tmp_path / "z" / "docs"]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "a.md").write_text("x")
    assert [one.name for one in find(folders)[0]] == ["a.md", "docs/a.md", str(folders[2] / "a.md")]


def test_links_out_are_refused_and_links_inside_passed_over(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key.md").write_text("secret")
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "real.md").write_text("real")
    (folder / "out.md").symlink_to(secret / "key.md")
    (folder / "outdir").symlink_to(secret)
    (folder / "inside.md").symlink_to(folder / "real.md")
    (folder / "circle.md").symlink_to(folder / "circle.md")
    found, faults = find([folder])
    assert [one.name for one in found] == ["real.md"]
    refused = {Path(fault.path).name: fault.reason for fault in faults}
    assert {"out.md", "outdir"} <= set(refused)
    assert "link out" in refused["out.md"]
    with pytest.raises(UnreadableError):  # it became a link after it was found
        read_content(folder / "out.md")


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    with pytest.raises(UnreadableError, match="regular"):
        read_content(tmp_path / "pipe.md")


def test_a_source_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        find([tmp_path / "unmounted"])


def test_hostile_names(tmp_path: Path) -> None:
    evil = tmp_path / "[bold]\x1b[31m\n<|im_end|>.md"
    evil.write_text("x")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.md")).write_text("x")
    found, faults = find([tmp_path])
    assert [one.path for one in found] == [evil]
    assert [fault.reason for fault in faults] == ["its name is not UTF-8"]
    faults[0].path.encode()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("\ufeffé\r\nb\rc".encode(), "é\nb\nc"),
        ("é".encode("utf-16"), "é"),
        (b"caf\xe9", "café"),
        (b"x" * 70_000 + b"\0y", "x" * 70_000 + "\ufffdy"),
    ],
    ids=["utf-8", "utf-16", "windows", "late NUL"],
)
def test_encodings(data: bytes, text: str, parser: Parser) -> None:
    assert to_text(Path("a.txt"), data, parser).text == text


@pytest.mark.parametrize("data", [b"", b" \n ", b"\x7fELF\0\0"], ids=["empty", "blank", "binary"])
def test_what_is_no_text_is_refused(data: bytes, parser: Parser) -> None:
    with pytest.raises(UnreadableError):
        to_text(Path("a.md"), data, parser)


def test_pdf_has_pages_and_headings(tmp_path: Path, parser: Parser) -> None:
    path = write_pdf(tmp_path / "a.pdf", [("Ferries", "Tern sails. " * 20), ("Lights", "Oil burns. " * 20)])
    source = to_text(path, read_content(path).data, parser)
    assert source.title == "Ferries"
    assert len(source.page_starts) == 2
    assert source.text[source.page_starts[1] :].startswith("# Lights")
    assert not source.has_lines


def test_html_and_docx(tmp_path: Path, parser: Parser) -> None:
    page = tmp_path / "a.html"
    page.write_bytes(
        b"<html><head><meta charset=iso-8859-1><title>Caf\xe9 &amp; bar</title><script>alert(1)</script></head>"
        b"<body><h1>Top</h1><p>Caf\xe9 <b>bold</b></p></body></html>"
    )
    source = to_text(page, read_content(page).data, parser)
    assert source.title == "Café & bar"
    assert source.text == "# Top\n\nCafé **bold**\n"
    body = (
        '<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Rules</w:t></w:r></w:p>'
        "<w:p><w:r><w:t>Dogs travel free.</w:t></w:r></w:p>"
    )
    assert to_text(Path("a.docx"), docx(body), parser).text == "# Rules\n\nDogs travel free.\n"


@pytest.mark.parametrize("name", ["a.pdf", "a.docx"])
@pytest.mark.parametrize("data", [b"%PDF-1.4 garbage", b"PK\x03\x04 nothing", b"\0" * 1000, b"<html>x</html>"])
def test_a_broken_file_is_refused_in_one_line_and_the_parser_goes_on(name: str, data: bytes, parser: Parser) -> None:
    with pytest.raises(UnreadableError) as error:
        to_text(Path(name), data, parser)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 250
    assert to_text(Path("b.html"), b"<p>still here</p>", parser).text == "still here\n"


def test_every_truncation_of_a_pdf_is_refused_or_read(tmp_path: Path, parser: Parser) -> None:
    data = write_pdf(tmp_path / "a.pdf", [("One", "First."), ("Two", "Second.")]).read_bytes()
    refused = 0
    for length in range(1, len(data), max(1, len(data) // 60)):
        try:
            to_text(Path("a.pdf"), data[:length], parser)
        except UnreadableError:
            refused += 1
    assert refused > 10
    assert "First." in to_text(Path("a.pdf"), data, parser).text


def test_a_reader_that_takes_too_long_or_dies_is_replaced() -> None:
    with Parser(seconds=0.001) as impatient:
        assert "longer than" in (impatient.parse("html", b"<p>x</p>" * 1000).error or "")
    with Parser() as child:
        assert child.parse("html", b"<p>one</p>").pages == ("one\n",)
        assert child._child is not None
        child._child.kill()
        child._child.wait()
        assert "crash" in (child.parse("html", b"<p>two</p>").error or "")
        assert child.parse("html", b"<p>three</p>").pages == ("three\n",)


def test_a_bomb_does_not_take_the_memory(parser: Parser) -> None:
    bomb = docx("<w:p><w:r><w:t>" + "a" * 300_000_000 + "</w:t></w:r></w:p>")
    assert len(bomb) < 1_000_000
    with pytest.raises(UnreadableError):
        to_text(Path("bomb.docx"), bomb, parser)
