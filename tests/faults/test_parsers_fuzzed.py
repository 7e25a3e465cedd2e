"""Damaged documents of every kind: each is read or refused in a few words, and the next good one is read."""

from __future__ import annotations

import io
import random
import re
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from sample_formats import docx, epub
from sample_library import write_pdf

from workbench.library.chunks import cut
from workbench.library.documents import UnreadableError, to_text
from workbench.library.parsing import Parser

LIMIT = 40
SECONDS = 10.0
MARKDOWN = """\
---
title: Rules
---
# Animals

Intro: the fees.

| Animal | Price |
|---|---|
| dog | 23 |
| cat | 11 |

- one
  - two
- three

```python
def f():

    return 1
```

<!-- aside -->
> quoted, *emphasised*. And [linked](http://example.org).

Setext
------
Ünïcödé 漢字. The end.
"""
CODE = """\
# Comment
@decorated
class Ferry(Boat):
    def tariff(self, metres: float) -> int:
        return {"a": [1, 2]}[metres]

export const add = (a, b) => { return a + b; };
static int main(int argc, char **argv) {
}
CREATE TABLE dogs (id int);
[section]
key:
  other: 1
"""
HTML = """\
<!doctype html><html><head><meta charset="utf-8"><title>Galley &amp; crew</title><style>@media print{p{color:red}}
.gone, #off > b{display:none}</style><script>if (a < b) {}</script></head><body><h1>Top</h1><p class="gone">x</p>
<p style="opacity: 0">hidden</p><ul><li>one<li>two</ul><table><tr><th>A<th>B<tr><td>1<td>2</table><pre>a

b</pre><img src=x alt=y><!-- no --><p>Ünïcödé <b>bold</b> <a href="http://example.org">link</a></p></body></html>
"""
_TOKEN = re.compile(r"\w+|[^\w\s]")
_INSERTS = [
    b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\r", b"```\n", b"\n\n", b"| a |\n|---|\n", b"<div>" * 9, b"</", b"<style>",
    b'"', b"style='", b"<!--", b"&#xd800;", b"&#0;", b"charset=utf-7 ", b"<<", b"PK\x03\x04", b"endobj", b"stream\n",
    b"/Length 99999999999", b"\xe2\x80\xae", b"\x1b[31m", b"    " * 50, b"# " * 20, b"- " * 40, b"9" * 40,
    b"<w:r><w:rPr><w:vanish/>",
]  # fmt: skip


def count(text: str) -> int:
    return len(_TOKEN.findall(text))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A small real file of every kind."""
    pdf = write_pdf(tmp_path_factory.mktemp("pdf") / "a.pdf", [("One", "First page. " * 30), ("Two", "Second. " * 30)])
    paragraph = '<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Rules</w:t></w:r></w:p>'
    runs = (
        '<w:r><w:rPr><w:vanish/><w:sz w:val="2"/></w:rPr><w:t>gone</w:t></w:r><w:r><w:t>Dogs travel free.</w:t></w:r>'
    )
    table = "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>A</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"
    return {
        "a.md": MARKDOWN.encode(),
        "a.txt": (MARKDOWN * 3).encode("utf-16"),
        "b.txt": "Der Leuchtturmwärter heißt Jörg Müller. Он спит днём.\n".encode() * 9,
        "a.csv": b'name;berth;note\nTern;4;"leaks,\nbadly"\n\nPuffin;9;painted "green"\n' * 6,
        "a.tsv": b"name\tberth\nTern\t4\nPuffin\t9\n",
        "a.py": CODE.encode(),
        "a.yaml": b"a:\n  b: 1\n  c:\n    - d: 2\n# x\ne: |\n  f\n",
        "a.json": b'{"a": {\n "b": [1, {"c": null}]\n}}\n',
        "a.html": HTML.encode(),
        "a.pdf": pdf.read_bytes(),
        "a.docx": docx(f"{paragraph}<w:p>{runs}</w:p>{table}"),
        "a.epub": epub(["<h1>Storm</h1><p>The mast broke.</p>", HTML.split("<body>")[1].split("</body>")[0]]),
    }


def damaged(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """A file after one to four accidents; of an archive mostly inside one of its files."""
    if data.startswith(b"PK") and rng.random() < 0.7:
        return _damaged_inside(data, rng, others)
    for _ in range(rng.randint(1, 4)):
        at, length = rng.randrange(len(data) + 1), rng.randint(1, max(1, len(data) // 4))
        other = rng.choice(others)
        begin = rng.randrange(len(other))
        accidents: list[Callable[[], bytes]] = [
            lambda at=at, data=data: data[:at],
            lambda at=at, length=length, data=data: data[:at] + data[at + length :],
            lambda at=at, length=length, data=data: data[:at] + data[at : at + length] * rng.randint(2, 30) + data[at:],
            lambda at=at, data=data: data[:at] + rng.randbytes(rng.randint(1, 60)) + data[at:],
            lambda at=at, data=data: data[:at] + rng.choice(_INSERTS) * rng.choice([1, 1, 3, 500]) + data[at:],
            lambda at=at, data=data, other=other, begin=begin: data[:at] + other[begin : begin + 400] + data[at:],
            lambda data=data: _flipped(data, rng),
        ]
        data = rng.choice(accidents)() or b"x"
    return data


def _flipped(data: bytes, rng: random.Random) -> bytes:
    flipped = bytearray(data)
    for _ in range(rng.randint(1, 20)):
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def _damaged_inside(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        hit = rng.choice(names)
        for name in names:
            content = old.read(name)
            if name == hit:
                if rng.random() < 0.15:
                    continue  # lost
                content = damaged(content, rng, others)
            new.writestr(name if rng.random() < 0.98 else f"../{name}", content)
            if rng.random() < 0.02:
                new.writestr(f"{name}.bomb", b"\0" * rng.choice([1000, 20_000_000]))
    return made.getvalue()


def feed(good: dict[str, bytes], inputs: int, seed: int) -> dict[str, int]:
    """Feed damaged files to the real parser; return how many were read, and refused."""
    rng = random.Random(seed)
    names, others = list(good), list(good.values())
    outcome = {"read": 0, "refused": 0}
    before = psutil.Process().memory_info().rss
    with Parser(seconds=SECONDS) as parser:
        for number in range(inputs):
            name = names[number % len(names)]
            data = damaged(good[name], rng, others)
            begun = time.monotonic()
            source, reason = None, ""
            try:
                source = to_text(Path(name), data, parser)
            except UnreadableError as error:
                reason = str(error)
            if source is None:
                outcome["refused"] += 1
                assert 0 < len(reason) < 300, (seed, number, name)
                assert "\n" not in reason, (seed, number, name)
            else:
                outcome["read"] += 1
                source.text.encode()  # it can be stored
                end = 0
                for chunk in cut(source, count, limit=LIMIT, window=LIMIT + 12):
                    assert source.text[chunk.start : chunk.end] == chunk.text, (seed, number, name)
                    assert chunk.text.strip(), (seed, number, name)
                    assert chunk.start >= end, (seed, number, name)
                    assert count(chunk.text) <= LIMIT, (seed, number, name)
                    assert count(chunk.embedded) <= LIMIT + 12, (seed, number, name)
                    end = chunk.end
            assert time.monotonic() - begun < 3 * SECONDS, (seed, number, name)
            if number % 100 == 99:
                assert "mast broke" in to_text(Path("a.epub"), good["a.epub"], parser).text
    assert psutil.Process().memory_info().rss - before < 500_000_000
    return outcome


def test_damaged_documents_are_read_or_refused(good: dict[str, bytes]) -> None:
    outcome = feed(good, 240, seed=5)
    assert min(outcome.values()) > 30, outcome


@pytest.mark.slow
def test_ten_thousand_damaged_documents(good: dict[str, bytes]) -> None:
    outcome = feed(good, 10_000, seed=1)
    print(outcome)
    assert sum(outcome.values()) == 10_000
