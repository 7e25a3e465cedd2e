"""What a document is cut at: tables between rows, lists between items, code between definitions, text at sentences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sample_formats import docx, epub

from workbench.library.chunks import Chunk, SourceText, cut
from workbench.library.decoding import decode
from workbench.library.documents import to_text
from workbench.library.outline import outline
from workbench.library.parsing import Parser


def count(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]", text))


def chunks_of(name: str, text: str, limit: int) -> list[Chunk]:
    source = to_text(Path(name), text.encode(), Parser())
    chunks = cut(source, count, limit=limit)
    lines = source.text.split("\n")
    for chunk in chunks:
        assert source.text[chunk.start : chunk.end] == chunk.text
        assert count(chunk.text) <= limit
        assert chunk.text in "\n".join(lines[chunk.start_line - 1 : chunk.end_line])  # type: ignore[operator]
    return chunks


def test_the_rows_of_a_long_table_stand_under_its_columns() -> None:
    rows = "".join(f"| {animal} | {price} |\n" for animal, price in zip("abcdefgh", range(8), strict=True))
    chunks = chunks_of("a.md", f"# Fees\n\nThe fees:\n\n| Animal | Crowns |\n|---|---:|\n{rows}", 24)
    assert [chunk.heading for chunk in chunks[1:]] == ["Fees"] + ["Fees > Animal | Crowns"] * (len(chunks) - 2)
    assert all(line.startswith("|") and line.endswith("|") for chunk in chunks[1:] for line in chunk.text.split("\n"))
    assert chunks[-1].embedded.startswith("Fees > Animal | Crowns\n| ")


def test_fenced_code_is_not_cut_at_its_blank_lines() -> None:
    code = "```python\ndef f():\n    return 1\n\n\n# no heading\ndef g():\n    return 2\n```"
    chunks = chunks_of("a.md", f"# Top\n\n{'Some words here. ' * 5}\n\nAn example:\n\n{code}\n\nAfter.\n", 30)
    assert [chunk.text for chunk in chunks if "def" in chunk.text] == [f"An example:\n\n{code}\n\nAfter."]


def test_lists_are_cut_between_items_and_code_inside_them_is_kept() -> None:
    items = "- first item\n  of two lines\n- second\n  - nested\n\n  ```\n  a\n\n  b\n  ```\n- third item, which ends\n"
    chunks = chunks_of("a.md", items, 16)
    assert [chunk.text[:2] for chunk in chunks] == ["- "] * len(chunks)
    assert any("```\n  a\n\n  b\n  ```" in chunk.text for chunk in chunks)


def test_wrapped_lines_do_not_end_a_sentence_and_comments_are_not_found() -> None:
    wrapped = "Dr. Tern sailed on the 3rd\nof May, as J. R. Puffin\ndid. Nobody saw\nhim again! Why?\n" * 3
    chunks = chunks_of("a.md", f"{wrapped}\n<!-- secret -->\n\nEnd.\n", 24)
    assert all(chunk.text[-1] in ".!?" for chunk in chunks)
    assert not any("secret" in chunk.text for chunk in chunks)


PYTHON = """\
import x

class A(B):
    def f(self):
        if x:
            pass

    @d
    async def g(self):
        try:
            y()
        finally:
            z()

def h(
    a,
) -> None:
    pass

h()
"""
TYPESCRIPT = """\
export class A<T> {
  run(a: number): void {
    if (a) {
    }
  }
}
export const add = (a, b) => {
  return a + b;
};
"""
C = """\
/* Adds. */
int add(int a)
{
    for (;;) {
    }
}
int main(int argc, char **argv) {
}
"""


@pytest.mark.parametrize(
    ("language", "text", "places"),
    [
        ("py", PYTHON, ["", "A", "A.f", "A.g", "h", ""]),
        ("ts", TYPESCRIPT, ["A<T>", "A<T>.run", "add"]),
        ("c", C, ["add", "main"]),
        ("go", "// Adds.\nfunc (r *T) Add(b int) int {\n\treturn b\n}\n\ntype P struct {\n\ta int\n}\n", ["Add", "P"]),
        ("rs", "impl<T> Show for Foo {\n    pub fn show() {\n    }\n}\n", ["Show for Foo", "Show for Foo.show"]),
        ("yaml", "server:\n  ports:\n    - 1\nclient:\n  name: x\n", ["server", "server.ports", "client"]),
        ("sql", "create table if not exists dogs (\n id int\n);\n\nCREATE VIEW cats AS\nSELECT 1;\n", ["dogs", "cats"]),
        ("toml", "a = 1\n[b.c]\nd = 2\n", ["", "b.c"]),
    ],
)
def test_code_is_cut_at_definitions(language: str, text: str, places: list[str]) -> None:
    found = list(outline(text, language))
    assert [".".join(names) for names, _, _ in found] == places
    assert "".join(text[start:end] for _, start, end in found) == text
    assert len(chunks_of(f"a.{language}", text, 1000)) == 1  # what is short stays together
    pieces = chunks_of(f"a.{language}", text, 12)
    assert "".join(text.split()) == "".join("".join(chunk.text.split()) for chunk in pieces)


def test_every_piece_of_a_long_function_tells_where_it_stands() -> None:
    body = "\n\n".join(f"        self.step_{number}()" for number in range(9))
    chunks = chunks_of("a.py", f"class Ferry:\n    def sail(self):\n{body}\n", 24)
    assert [chunk.heading for chunk in chunks][1:] == ["Ferry > sail"] * (len(chunks) - 1)
    assert chunks[-1].text.startswith("        self.step")


def test_rows_tell_their_columns_and_keep_their_lines() -> None:
    text = 'name;note\nTern;"leaks,\nbadly"\n\nPuffin;\n"Auk";green\n'
    chunks = chunks_of("a.csv", text, 12)
    assert [(chunk.text, chunk.start_line, chunk.end_line) for chunk in chunks] == [
        ("name ; note\nname: Tern; note: leaks,\nbadly", 1, 3),
        ("name: Puffin\nname: Auk; note: green", 5, 6),
    ]
    assert chunks_of("a.tsv", "a\tb\n1\t2\n", 50)[0].text == "a | b\na: 1; b: 2"
    assert chunks_of("a.csv", "1,2\n3,4\n", 50)[0].text == "1,2\n3,4"  # no header: as it is


def test_small_windows_bound_headings_too() -> None:
    source = SourceText("# " + "very long heading " * 9 + "\n\n" + "Some text. " * 50, "t")
    chunks = cut(source, count, window=16)
    assert max(count(chunk.embedded) for chunk in chunks) <= 16
    assert all(chunk.heading for chunk in chunks)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Müller grüßt Jürgen “herzlich” für 50 €."),
        ("cp1250", "Pchnąć w tę łódź jeża lub ośm skrzyń fig."),
        ("cp1254", "Köpekler ücretsiz seyahat eder. Şişli'de ığdır ağacı."),
        ("koi8_r", "Собака едет бесплатно, а кошка платит."),
        ("cp1251", "Собака едет бесплатно, а кошка платит."),
        ("iso8859_7", "Ο σκύλος ταξιδεύει δωρεάν, αλλά η γάτα πληρώνει."),
        ("shift_jis", "犬は無料で旅行できますが、猫は二十三クローネを払います。"),
        ("euc_jp", "犬は無料で旅行できますが、猫は二十三クローネを払います。"),
        ("gb18030", "狗免费旅行，但猫每次要付二十三克朗。这是一条规则。"),
        ("big5", "狗免費旅行，但貓每次要付二十三克朗。這是一條規則。"),
        ("euc_kr", "개는 무료로 여행하지만 고양이는 스물세 크로네를 냅니다."),
        ("utf-16-le", "Dogs travel on a lead."),
        ("utf-16-be", "Dogs travel on a lead."),
    ],
)
def test_the_encoding_is_concluded(encoding: str, text: str) -> None:
    data = f"{text}\r\n".encode(encoding)
    assert decode(data) == f"{text}\n"
    assert decode(data * 5000) == f"{text}\n" * 5000


def test_damaged_utf8_stays_utf8_and_pages_may_declare() -> None:
    assert decode("Ünïcödé ☕ ".encode() * 20 + b"\xff end") == "Ünïcödé ☕ " * 20 + "\ufffd end"
    assert decode("<meta charset=koi8-r><p>Кот".encode("koi8_r"), markup=True) == "<meta charset=koi8-r><p>Кот"
    assert decode(b"<meta charset=hex><p>caf\xe9", markup=True) == "<meta charset=hex><p>café"


HIDING = [
    "display:none",
    "Visibility : hidden",
    "opacity:0",
    "opacity: 0.0;",
    "font-size:0",
    "font-size: 1px",
    "font-size:.1em",
    "position:absolute;left:-9999px",
    "text-indent:-999em",
    "width:0;height:0;overflow:hidden",
    "clip:rect(0,0,0,0)",
    "content-visibility:hidden",
    "transform:scale(0)",
]


def test_what_a_reader_does_not_see_is_left_out() -> None:
    shown = ["opacity:0.9", "font-size:10px", "left:-9px", "width:0", "font-size:1.5em", "width:100%;overflow:hidden"]
    body = "".join(f"<p style='{style}'>unseen</p>" for style in HIDING)
    body += "".join(f"<p style='{style}'>plain{number}</p>" for number, style in enumerate(shown))
    sheet = ".a, p.b {display:none} @media print {.c{display:none}} .c:hover{opacity:0} body{visibility:hidden}"
    body += (
        "<p class=a>unseen</p><div><p class=b>unseen</p></div><p class=c>plain9</p><!-- unseen --><p hidden>unseen</p>"
    )
    page = f"<html><head><style>/* x */ {sheet}</style></head><body>{body}</body></html>".encode()
    ghost = '<w:style w:type="character" w:styleId="Ghost"><w:rPr><w:vanish/></w:rPr></w:style>'
    styles = f'<w:styles xmlns:w="x">{ghost}</w:styles>'
    word = "".join(
        f"<w:r><w:rPr>{properties}</w:rPr><w:t>{text} </w:t></w:r>"
        for properties, text in [
            ("<w:vanish/>", "unseen"), ('<w:vanish w:val="0"/>', "plain"), ('<w:sz w:val="2"/>', "unseen"),
            ('<w:sz w:val="22"/>', "big"), ('<w:rStyle w:val="Ghost"/>', "unseen"), ("<w:b/>", "end"),
        ]
    )  # fmt: skip
    with Parser() as parser:
        text = to_text(Path("a.html"), page, parser).text
        assert "unseen" not in text
        assert re.findall(r"plain\d", text) == [*(f"plain{number}" for number in range(len(shown))), "plain9"]
        read = to_text(Path("a.docx"), docx(f"<w:p>{word}</w:p>", {"word/styles.xml": styles}), parser).text
        assert re.findall(r"\w+", read) == ["plain", "big", "end"]
        book = epub(
            ["<p>One.</p><p class='a'>unseen</p>", "<p style='opacity:0'>unseen</p><p>Two.</p>"], {"s.css": sheet}
        )
        assert to_text(Path("a.epub"), book, parser).text.split() == ["One.", "Two."]
