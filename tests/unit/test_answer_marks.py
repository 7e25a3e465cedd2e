"""The marks of an answer: in the Markdown that is painted while it comes, and in the Markdown that is exported."""

from __future__ import annotations

import random

from markdown_it import MarkdownIt
from textual.content import Content

from screens.answer_marks import AnswerMarks, asked_passage, summary, without_places
from workbench.chat.answer import Citation
from workbench.chat.marking import marked

SUMMER = "The museum is open every day from 3 May to 19 September, from 9:40 until 17:20."
FERRY = "The ferry leaves at 8:05.\n<b>[x](http://evil)"
PASSAGES = (SUMMER, FERRY)
QUESTION = "When does it open?"
ANSWER = """\
**The museum is open every day.** It closes at 17:20 [1]. The ferry leaves at 8:05 [1]. Cake is free [7]! \
Elephants dance.

| When | Hours |
|---|---|
| Summer | 9:40 to 17:20 |

---

- from 3 May
- `x [1]. Y`

```
The ferry. Foo
```
I do not know more.
"""


def streamed(answer: str, sizes: random.Random) -> str:
    marks, parts, at = AnswerMarks(PASSAGES, QUESTION), list[str](), 0
    while at < len(answer):
        at += sizes.randint(1, 9)
        parts.append(marks.more(answer[:at], ended=False))
    return "".join([*parts, marks.more(answer, ended=True)])


def painted(answer: str, chosen: int | None = None) -> list[Content]:
    marks = AnswerMarks(PASSAGES, QUESTION)
    return [marks.painted(Content(line), chosen) for line in marks.more(answer, ended=True).split("\n")]


def test_what_is_painted_of_an_answer_that_comes_is_what_is_painted_of_a_whole_one() -> None:
    whole = AnswerMarks(PASSAGES, QUESTION).more(ANSWER, ended=True)
    for seed in range(20):
        assert streamed(ANSWER, random.Random(seed)) == whole
    assert without_places(whole) == ANSWER, "nothing of the answer is changed"


def test_places_for_marks_leave_the_markdown_what_it_is() -> None:
    def kinds(text: str) -> list[str]:
        tokens = parser.parse(text)
        inline = [child.type for token in tokens for child in token.children or ()]
        return [*(token.type for token in tokens), *(kind for kind in inline if kind != "text")]

    parser = MarkdownIt("gfm-like", {"html": False, "linkify": False}).disable("reference")
    assert kinds(AnswerMarks(PASSAGES, QUESTION).more(ANSWER, ended=True)) == kinds(ANSWER)


def test_the_marks() -> None:
    lines = [each.plain for each in painted(ANSWER)]
    assert lines[0] == (
        "**The museum is open every day.** ✓[1] It closes at 17:20 [1]. ◐ The ferry leaves at 8:05 [1]✗. ✓[2]"
        " Cake is free [7]✗! ○ Elephants dance. ○"
    )
    assert lines[4] == "| Summer | 9:40 to 17:20 ✓[1] |"
    assert lines[6] == "---"


def test_a_click_on_a_mark_or_a_number_asks_for_its_passage() -> None:
    line = painted("It closes at 17:20 [1]. The ferry leaves at 8:05. Cake is free [7].")[0]
    styles = {line.plain[span.start : span.end]: span.style for span in line.spans if not isinstance(span.style, str)}
    asked = {text: asked_passage(style.rich_style) for text, style in styles.items()}
    assert asked == {"[1]": (0, 1), "◐": (0, 1), "✓[2]": (1, 2)}, "and nothing asks for a passage that is not there"


def test_a_model_cannot_write_marks() -> None:
    forged = "Elephants dance \ufdd00\ufdd1.\u202e It closes at 17:20."
    whole = AnswerMarks(PASSAGES, QUESTION).more(forged, ended=True)
    assert without_places(whole) == "Elephants dance \ufffd0\ufffd.\ufffd It closes at 17:20."
    assert AnswerMarks((), "").more(forged, ended=True) == "Elephants dance \ufffd0\ufffd.\ufffd It closes at 17:20."


def test_an_answer_of_numbers_alone_does_not_wait_for_its_end() -> None:
    marks = AnswerMarks(PASSAGES, QUESTION)
    assert len(marks.more("1, 2, 3, " * 50, ended=False)) > 400


def test_the_summary() -> None:
    def told(answer: str) -> str:
        marks = AnswerMarks(PASSAGES, QUESTION)
        marks.more(answer, ended=True)
        return summary(marks).plain

    assert told(ANSWER) == "✓ 4 of 8 sentences supported  ◐ 1 partly  ○ 3 not  1 not told"
    assert told("Elephants dance. Cake is free.") == "○ no passage says this: check it before you rely on it"
    assert told("I do not know.") == "the library does not tell, says the answer"
    assert told("") == told("It was.") == ""


def test_an_exported_answer_has_footnotes_in_which_nothing_acts() -> None:
    citations = [
        Citation(number, document, "line 1", text, 0.1)
        for number, (document, text) in enumerate([("a*b.md", SUMMER), ("ferry.md", FERRY)], 1)
    ]
    text = marked(ANSWER, citations, QUESTION)
    assert text.startswith(
        "**The museum is open every day.** ✓[^1] It closes at 17:20 [^1]. ◐ The ferry leaves at 8:05 [^1]✗. ✓[^2]"
        " Cake is free \\[7\\]✗! ○ Elephants dance. ○\n"
    )
    assert "- `x [1]. Y`" in text
    assert f"[^1]: a\\*b.md, line 1: “{SUMMER}”\n" in text
    assert r"[^2]: ferry.md, line 1: “The ferry leaves at 8:05. \<b\>\[x\](http://evil)”" in text
    assert marked(ANSWER, []) == ANSWER
    several = marked(ANSWER, citations, QUESTION, label="q3p1-")
    assert several.replace("q3p1-", "") == text, "the notes of several answers do not mix"
    assert several.count("[^q3p1-1]") == text.count("[^1]")
