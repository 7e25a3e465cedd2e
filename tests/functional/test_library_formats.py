"""A folder with a file of every kind and some damaged ones: the good are found, each at its place; the bad are told."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_formats import docx, epub
from sample_library import FakeEmbedder, build_with, write_pdf
from tokenizers import Tokenizer

from workbench.library import chunks
from workbench.library.documents import to_text
from workbench.library.parsing import Parser
from workbench.library.store import Store
from workbench.models.local import ensure
from workbench.workspace import Workspace

Command = Callable[..., Any]

TARIFFS = "".join(f'    "berth {number}": {number * 31},\n' for number in range(30))
CODE = f'''\
import math

TARIFFS = {{
{TARIFFS}}}


class Ferry:
    """Carries cars."""

    def tariff(self, metres: float) -> int:
        """Crowns that a lorry of this length pays."""
        return math.ceil(metres) * 17
'''


def write_documents(folder: Path) -> dict[str, tuple[str, str]]:
    """Write one document of every kind; return a question and the place of its answer for each."""
    folder.mkdir()
    (folder / "dogs.md").write_text("# Animals\n\n## Dogs\n\nA dog pays 23 crowns each way.\n")
    (folder / "harbour.txt").write_bytes("Der Leuchtturmwärter heißt Jörg Müller, er schläft.\n".encode("cp1252"))
    (folder / "ключ.txt").write_bytes("Запасной ключ от маяка лежит под синим камнем у причала.\n".encode("koi8_r"))
    (folder / "menu.html").write_bytes(
        b"<html><head><style>.gone{display:none}</style></head><body><h1>Galley</h1><p>On Fridays the cook serves "
        b"herring soup.</p><p class=gone>Concealed tombola</p><p style='opacity:0'>Concealed lottery</p></body>"
    )
    write_pdf(
        folder / "lamp.pdf", [("Cover", "Nothing here. " * 20), ("Oil", "The lamp burns whale oil at night. " * 9)]
    )
    hidden = "<w:r><w:rPr><w:vanish/></w:rPr><w:t>Concealed raffle</w:t></w:r>"
    (folder / "crew.docx").write_bytes(
        docx(
            '<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Uniform</w:t></w:r></w:p>'
            f"<w:p><w:r><w:t>Every sailor receives two oilskin jackets.</w:t></w:r>{hidden}</w:p>"
        )
    )
    (folder / "saga.epub").write_bytes(
        epub(
            ["<h1>The storm</h1><p>The mast broke in the gale.</p><p hidden='hidden'>Concealed bingo</p>",
             "<h1>The calm</h1><h2>Repairs</h2><p>A carpenter from Bergen mended the rudder.</p>"]
        )
    )  # fmt: skip
    (folder / "ferry.py").write_text(CODE)
    (folder / "boats.csv").write_text('name;berth;note\nTern;4;"leaks,\nbadly"\nPuffin;9;painted green\n')
    return {
        "dogs.md": ("What does a dog pay?", "Animals > Dogs · line 5"),
        "harbour.txt": ("Wie heißt der Leuchtturmwärter Jörg?", "line 1"),
        "ключ.txt": ("Где лежит запасной ключ от маяка?", "line 1"),
        "menu.html": ("Which soup is served on Fridays?", "Galley"),
        "lamp.pdf": ("What does the lamp burn at night?", "Oil · page 2"),
        "crew.docx": ("How many oilskin jackets does a sailor receive?", "Uniform"),
        "saga.epub": ("Who mended the rudder?", "The calm > Repairs"),
        "ferry.py": ("tariff of a lorry by metres", "Ferry · lines 37-42"),
        "boats.csv": ("Puffin berth, painted green", "lines 1-4"),
    }


def write_damaged(folder: Path) -> dict[str, str]:
    """Write files that cannot be read; return a word of the reason for each."""
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b"\0" * 300_000_000)
    whole = epub(["<p>x</p>"])
    damaged = {
        "broken.pdf": (b"%PDF-1.7 broken", "read"),
        "bomb.docx": (bomb.getvalue(), "holds more than 256 MB"),
        "cut.epub": (whole[: len(whole) // 2], "archive"),
        "locked.epub": (epub(["<p>x</p>"], {"META-INF/encryption.xml": "<x URI='OEBPS/c0.xhtml'/>"}), "encrypted"),
        "deep.html": (b"<div>" * 2000 + b"x", "deep"),
        "picture.md": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not text"),
        "empty.csv": (b"\n", "no text"),
    }
    for name, (data, _) in damaged.items():
        (folder / name).write_bytes(data)
    return {name: reason for name, (_, reason) in damaged.items()}


@pytest.mark.slow
def test_every_kind_is_found_at_its_place_and_the_damaged_are_listed(
    workspace: Workspace, command: Command, tmp_path: Path
) -> None:
    docs = tmp_path / "docs"
    asked = write_documents(docs)
    damaged = write_damaged(docs)
    built = command("index", "build", "harbour", docs, "--json")
    assert built.code == 0, built.err
    assert built.lines[-1]["documents"] == len(asked)
    told = {Path(fault["path"]).name: fault["reason"] for fault in built.lines[-1]["faults"]}
    assert set(told) == set(damaged)
    for name, reason in damaged.items():
        assert reason in told[name], (name, told[name])
    listed = command("index", "list", "harbour", "--json").lines
    assert {row["document"] for row in listed} == set(asked)

    questions = tmp_path / "questions.jsonl"
    questions.write_text("".join(json.dumps({"question": question}) + "\n" for question, _ in asked.values()))
    found = command("index", "search", "harbour", "--questions", questions, "-k", 3, "--json")
    assert found.code == 0, found.err
    best = {name: answer["hits"][0] for name, answer in zip(asked, found.lines, strict=True)}
    assert {name: (hit["document"], hit["place"]) for name, hit in best.items()} == {
        name: (name, place) for name, (_, place) in asked.items()
    }
    assert "name: Puffin; berth: 9; note: painted green" in best["boats.csv"]["text"]
    with Store(workspace.index("harbour")) as store:
        for name, (_, _) in asked.items():
            text = store.document_text(name)
            assert "Concealed" not in text
            assert best[name]["text"] in text


def test_an_index_that_was_cut_otherwise_is_cut_again_and_only_what_changed_is_embedded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs = tmp_path / "docs"
    write_documents(docs)
    with monkeypatch.context() as before:
        before.setattr(chunks, "FORM", chunks.FORM - 1)
        first = build_with(tmp_path / "i", [docs], FakeEmbedder())
    with monkeypatch.context() as other:
        other.setattr(chunks, "CHUNK_TOKENS", 40)
        again = build_with(tmp_path / "i", None, FakeEmbedder())
    assert (again.read, again.documents) == (first.documents, first.documents)
    assert 0 < again.embedded < again.chunks
    assert build_with(tmp_path / "i", None, FakeEmbedder()).embedded < first.chunks


def test_nothing_embedded_is_longer_than_the_model_reads(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(ensure("all-minilm-l6-v2") / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(text: str, special: bool) -> int:
        return len(tokenizer.encode(text, add_special_tokens=special).ids)

    write_documents(tmp_path / "docs")
    deep = "".join(f"{'#' * level} A long heading of level {level} with many words in it\n\n" for level in range(1, 6))
    table = "| fee | crowns |\n|---|---|\n" + "".join(f"| fare {n} | {n * 17} |\n" for n in range(60))
    (tmp_path / "docs" / "long.md").write_text(deep + "Ünïcödé 漢字 text, naïvely. " * 200 + "\n\n" + table)
    with Parser() as parser:
        sources = [to_text(path, path.read_bytes(), parser) for path in sorted((tmp_path / "docs").iterdir())]
    for reads in (16, 24, 64, 256):
        cut = [chunk for one in sources for chunk in chunks.cut(one, lambda text: count(text, False), window=reads - 2)]
        assert reads // 2 < max(count(chunk.embedded, True) for chunk in cut) <= reads
