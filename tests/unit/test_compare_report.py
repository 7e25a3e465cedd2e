"""The report: every figure is the verdict's, hostile text stays text, and what is missing is said."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from typing import Any

import pytest
from sample_comparison import write_comparison

from workbench.compare import figures
from workbench.compare.figures import MINUS
from workbench.compare.metrics import METRICS
from workbench.compare.question import Question
from workbench.compare.report import plots, svg
from workbench.compare.report.html import html
from workbench.compare.report.markdown import escape, markdown, versus_markdown
from workbench.compare.report.svg import Mark
from workbench.compare.report.tables import differences, effects, two_by_two
from workbench.compare.spec import MAIN, Arm, Spec
from workbench.compare.store import Answered, CompareStore, Ranking
from workbench.workspace import Workspace

HOSTILE = "<script>alert('x')</script> \"q\" | `code` \x1b[31m \u202eevil \x00 &lt; [a](http://x) *b* ]]> \ufffe \ud800"
MEANS = {"base": 0.051, "tuned": 0.2342, "rag": 0.4321, "hybrid": 0.8762}
VOID = {"meta", "br", "link", "img", "input", "hr"}


def estimate(mean: float, width: float = 0.04, n: int = 60) -> dict[str, Any]:
    return {"mean": mean, "low": mean - width, "high": mean + width, "n": n}


def a_verdict(arms: tuple[str, ...] = MAIN, text: str = "plain") -> dict[str, Any]:
    """As `workbench.compare.verdict.build` makes it; `text` stands where others' texts do."""
    spec = Spec(
        arms=tuple(Arm(name=arm, hybrid=f"model{text}") for arm in arms),
        run="tone",
        index="handbook",
        question_set=f"set{text}",
        set_sha256="a" * 64,
        asked_sha256="b" * 64,
        seed=7,
        top_k=3,
        max_new_tokens=48,
        system_prompt=f"You answer.\n{text}",
        refusals=(text,),
    )
    pairs = [(first, second) for at, second in enumerate(arms) for first in arms[at + 1 :]]
    differences = [
        {
            "first": first, "second": second, **estimate(MEANS.get(first, 0.5) - MEANS.get(second, 0.5)),
            "p": 0.0004, "p_holm": 0.0421, "test": "permutation", "wins": 31, "losses": 12, "ties": 17, "needed": 245,
            "measurable": first == "hybrid",
        }
        for first, second in pairs
    ]  # fmt: skip
    effect = {"p": 0.2222, "needed": 1234, "floor": 0.0, "measurable": False}
    effects = [{"name": name, **estimate(mean), **effect} for name, mean in
               (("tuning", 0.313), ("retrieval", -0.0114), ("interaction", 0.26095))]  # fmt: skip
    return {
        "comparison": f"name{text}",
        "created_at": 1_760_000_000.0,
        "made_at": 1_760_000_900.0,
        "metric": "f1",
        "metric_title": "token F1",
        "asked": 64,
        "n": 60,
        "recommendation": f"Use both. {text}",
        "recommended": "hybrid",
        "winner": "hybrid",
        "cautions": [f"Something cannot be concluded. {text}"],
        "arms": [
            {
                "arm": arm,
                "hybrid": f"model{text}",
                "n": 60,
                "metrics": {
                    "f1": estimate(MEANS.get(arm, 0.5)),
                    "seconds": {"mean": 1.234, "low": 1.1, "high": 1.4, "n": 60},
                    "prompt_tokens": {"mean": 211.26, "low": 200.0, "high": 220.0, "n": 60},
                },
                "medians": {"seconds": 1.218},
                "abstention": {"precision": None, "recall": 0.125, "n_unanswerable": 16, "n_abstained": 2},
                "f1_answerable": estimate(0.333),
            }
            for arm in arms
        ],
        "retrieval": {"k": 3, "hit": 0.912, "mrr": 0.8125, "ndcg": 0.8333, "n": 44},
        "differences": {"f1": differences, "right": differences[:1]},
        "effects": {"f1": effects if set(MAIN) <= set(arms) else []},
        "noise": {"arm": "hybrid", **estimate(0.001)},
        "attribution": [
            {"category": "took_both", "title": "it took both", "about": "Only both.", "count": 2, "numbers": [0, 2]},
            {"category": "not_used", "title": "passage there, not used", "about": text, "count": 1, "numbers": [1]},
            {"category": "unexplained", "title": "unexplained", "about": "None.", "count": 0, "numbers": []},
        ],
        "decision": [
            {"row": "Knowledge", "measure": text, "values": {arm: "3 %" for arm in arms}, "note": f"note {text}"}
        ],
        "next": [{"advice": f"Retrieve better. {text}", "questions": 12}],
        "costs": {
            "run": {"name": "tone", "seconds": 412.0, "peak_memory_bytes": 2.1e9, "tokens": 161_000},
            "index": {"name": "handbook", "seconds": 9.4, "peak_memory_bytes": 9e8, "documents": 42, "chunks": 290},
            "update": {
                "seconds_to_index": 1.3, "seconds_to_answer": 2.114, "found": True, "answer_changed": True,
                "document": text,
            },
            "energy": "RAPL",
            "machine": {"processor": text, "cores": 2, "memory_bytes": 16e9, "gpu": None},
        },
        "spec": json.loads(json.dumps(spec.as_dict())),
    }  # fmt: skip


def asked(text: str = "plain") -> tuple[list[Question], list[Answered], dict[int, Ranking]]:
    questions = [
        Question(
            messages=(
                {"role": "system", "content": f"sys {text}"},
                {"role": "user", "content": f"asks {number} {text}"},
            ),
            answers=(f"reference {text}",),
            answerable=True,
            document=f"doc{text}",
        )
        for number in range(4)
    ]  # fmt: skip
    cited = ({"number": 1, "document": f"cited {text}", "place": text},)
    answers = [
        Answered(number, arm, f"{arm} says {number} {text}", cited, {}, {"right": 1.0, "f1": 0.625, "abstained": 0.0})
        for number in range(4)
        for arm in MAIN
    ]
    answers[3] = Answered(0, "hybrid", "", figures={"error": f"too long {text}"})
    return questions, answers[:-1], {0: Ranking((2, 5)), 1: Ranking(()), 2: Ranking(None)}


class Page(HTMLParser):
    """What a browser would see: tags that close, their attributes, cells by table caption, all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text.append(data)

    def found(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def figures_of(text: str) -> list[str]:
    svgs = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    for plot in svgs:
        root = ElementTree.fromstring(plot)
        titles = [root.find(f"{{http://www.w3.org/2000/svg}}{name}") for name in ("title", "desc")]
        assert all(each is not None and each.text for each in titles)
        assert root.get("aria-labelledby") == " ".join(each.get("id", "") for each in titles if each is not None)
        assert root.get("role") == "img"
        for element in root.iter():
            for name in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height"):
                if name in element.attrib:
                    assert -1 <= float(element.attrib[name]) <= 721, element.attrib
    return svgs


def tables_of(text: str) -> list[list[list[str]]]:
    """The tables of Markdown; every row has as many cells as its head."""
    tables, rows = [], []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif rows:
            assert {len(row) for row in rows} == {len(rows[0])}
            assert set(rows[1]) == {"---"}
            tables.append(rows)
            rows = []
    return tables


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (figures.share(0.1234), "12.3 %"),
        (figures.share(None), "-"),
        (figures.share(float("nan")), "-"),
        (figures.interval({"mean": 0.123, "low": 0.081, "high": 0.164}), "12.3 (8.1 to 16.4)"),
        (figures.interval({"mean": 0.123, "low": None, "high": None}), "12.3"),
        (figures.interval(None), "-"),
        (
            figures.interval({"mean": -0.02, "low": -0.051, "high": 0.011}, signed=True),
            f"{MINUS}2.0 ({MINUS}5.1 to +1.1)",
        ),
        (figures.interval({"mean": -0.0001, "low": 0, "high": 0}, signed=True), "0.0 (0.0 to 0.0)"),
        (figures.interval({"mean": 1.234, "low": 1, "high": 2}, "seconds"), "1.23 (1.00 to 2.00)"),
        (figures.p_value(0.0009), "< 0.001"),
        (figures.p_value(0.0421), "0.042"),
        (figures.p_value(1.0), "1.000"),
        (figures.p_value(None), "-"),
        (figures.seconds(1.236), "1.24 s"),
        (figures.seconds(59.999), "1 min 00 s"),
        (figures.seconds(412), "6 min 52 s"),
        (figures.seconds(4800), "1 h 20 min"),
        (figures.size(2.14e9), "2.1 GB"),
        (figures.size(31e6), "0.03 GB"),
        (figures.size(None), "-"),
        (figures.count(161_000), "161,000"),
        (figures.moment(1_760_000_900.0), "2025-10-09 09:08 UTC"),
        (figures.moment(1e99), "-"),
    ],
)  # fmt: skip
def test_figures_are_written_in_one_form(written: str, expected: str) -> None:
    assert written == expected


def test_the_markdown_shows_the_verdicts_figures() -> None:
    text = markdown(a_verdict())
    tables = tables_of(text)
    square = tables[0]
    assert square[2] == ["untuned", "5.1 (1.1 to 9.1)", "43.2 (39.2 to 47.2)", "+38.1 (+34.1 to +42.1)"]
    assert square[3] == ["tuned", "23.4 (19.4 to 27.4)", "87.6 (83.6 to 91.6)", "+64.2 (+60.2 to +68.2)"]
    assert square[4][1:] == [
        "+18.3 (+14.3 to +22.3)", "+44.4 (+40.4 to +48.4)", "interaction +26.1 (+22.1 to +30.1)",
    ]  # fmt: skip
    assert ["retrieval", f"{MINUS}1.1 ({MINUS}5.1 to +2.9)", "0.222", "no", "1,234"] in tables[1]
    pair = [
        f"hybrid {MINUS} rag",
        "+44.4 (+40.4 to +48.4)",
        "31 / 12 / 17",
        "< 0.001",
        "0.042",
        "permutation",
        "yes",
        "245",
    ]
    assert pair in tables[2]
    assert ["base", "1.22", "-", "211.3", "-", "-"] in [row for table in tables for row in table]
    for shown in (
        "Use both. plain", "60 of 64 questions", "6 min 52 s", "2.1 GB", "161,000 tokens", "42 documents, 290 chunks",
        "2.11 s", "91.2", "0.812", "211.3", "12.5", "RAPL", "a" * 64, "b" * 64, "greedy", "You answer. plain",
        "66.7 %", "Retrieve better. plain (12 questions)", "note plain",
    ):  # fmt: skip
        assert shown in text, shown


def test_a_difference_is_found_in_either_direction() -> None:
    verdict = a_verdict()
    for each in verdict["differences"]["f1"]:
        each["first"], each["second"] = each["second"], each["first"]
        each["wins"], each["losses"] = each["losses"], each["wins"]
        each["mean"], each["low"], each["high"] = -each["mean"], -each["high"], -each["low"]
    assert two_by_two(verdict) == two_by_two(a_verdict())
    assert differences(verdict, "f1") == differences(a_verdict(), "f1")


def test_the_page_shows_the_verdicts_figures_and_every_answer() -> None:
    text = html(a_verdict(), *asked())
    page = Page(text)
    shown = " ".join(page.text)
    for each in (
        "5.1 (1.1 to 9.1)", "+38.1 (+34.1 to +42.1)", "interaction +26.1", "6 min 52 s", "2.1 GB", "a" * 64,
        "0.042", "base says 0 plain", "hybrid says 2 plain", "- (too long plain)", "reference plain",
        "was found at rank 2", "was not among those found", "is not known", "right; token F1 62.5 %",
        "[1] cited plain, plain", "it took both", "not attributed", "system: sys plain",
    ):  # fmt: skip
        assert each in shown, each
    assert len(figures_of(text)) == 4
    assert "You answer.\nplain" in shown  # the system prompt keeps its lines
    assert len(page.found("details")) == 4  # two categories that have questions, one without, the metrics' meanings


def test_the_page_needs_nothing_and_may_load_nothing() -> None:
    page = Page(html(a_verdict(), *asked()))
    policy = next(each["content"] for each in page.found("meta") if each.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert not page.found("script")
    assert not [attrs for _, attrs in page.tags for name in attrs if name in ("src", "href", "style", "action")]
    assert not [attrs for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert all(each.get("scope") in ("col", "row") for each in page.found("th"))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_hostile_text_stays_text() -> None:
    verdict, (questions, answers, rankings) = a_verdict(text=HOSTILE), asked(HOSTILE)
    verdict["arms"].append({**verdict["arms"][0], "arm": HOSTILE})
    text = html(verdict, questions, answers, rankings)
    page, plain = Page(text), Page(html(a_verdict((*MAIN, "extra")), *asked()))
    kinds = {tag for tag, _ in page.tags}
    assert kinds == {tag for tag, _ in plain.tags}
    assert "<script>alert('x')</script>" in "".join(page.text)
    figures_of(text)
    for output in (text, markdown(verdict)):
        output.encode()
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", output)


def test_hostile_text_stays_text_in_markdown() -> None:
    from markdown_it import MarkdownIt

    text = markdown(a_verdict(text=HOSTILE + "\n\n# forged\n| a | b |"))
    tables_of(text)
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    kinds = {child.type for token in tokens for child in (token.children or [])} | {token.type for token in tokens}
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "code_inline", "fence", "em_open"}
    titles = [tokens[at + 1].content for at, token in enumerate(tokens) if token.type == "heading_open"]
    assert not [title for title in titles if title.startswith("forged")]
    rendered = "".join(child.content for token in tokens for child in (token.children or []) if child.type == "text")
    assert "<script>alert('x')</script>" in rendered


def test_what_escapes_is_read_as_it_was() -> None:
    assert escape("a_b smollm2-135m+lora:x") == "a_b smollm2-135m+lora:x"
    assert escape("x|y `z`\n_w_") == r"x\|y \`z\` \_w\_"


@pytest.mark.parametrize("arms", [("base",), ("base", "tuned"), ("base", "rag"), ("base", "tuned", "rag"), ()])
def test_arms_that_were_not_asked_are_said(arms: tuple[str, ...]) -> None:
    verdict = a_verdict(arms)
    text = markdown(verdict)
    tables_of(text)
    for missing in set(MAIN) - set(arms):
        assert missing in text.split("Not asked: ")[1].split("\n")[0]
    page = html(verdict, *asked())
    Page(page)
    figures_of(page)


def test_without_costs_and_without_questions_it_says_so() -> None:
    verdict = a_verdict()
    verdict |= {"costs": {}, "n": 0, "asked": 0, "cautions": [], "next": [], "retrieval": None, "noise": None}
    verdict |= {"differences": {"f1": []}, "effects": {"f1": []}, "decision": []}
    for each in verdict["arms"]:
        each |= {"metrics": {}, "medians": {}, "abstention": {}, "f1_answerable": None, "n": 0}
    for each in verdict["attribution"]:
        each |= {"count": 0, "numbers": []}
    text = markdown(verdict)
    tables_of(text)
    assert "measured when the comparison ends" in text
    assert "0 of 0 questions" in text
    assert "nothing on this machine tells its energy" in text
    assert "nan" not in text.lower().split()
    page = html(verdict, [], [], {})
    Page(page)
    assert not figures_of(page)


def test_costs_that_are_null_have_their_reason() -> None:
    verdict = a_verdict()
    verdict["costs"] = dict.fromkeys(("run", "index", "update", "energy", "machine"))
    text = markdown(verdict)
    assert "the run is no longer there" in text
    assert "could not be measured" in text
    verdict["spec"] |= {"run": None, "index": None}
    text = markdown(verdict)
    assert "no adapter was measured" in text
    assert text.count("no index was measured") == 2
    verdict["costs"]["run"] = {"name": "tone", "seconds": None, "peak_memory_bytes": None, "tokens": None}
    assert "the job that made it is no longer there" in markdown(verdict)


def test_figures_that_are_not_numbers_are_left_out_of_plots() -> None:
    marks = [Mark("a", None), Mark("b", float("nan"), float("nan"), float("nan")), Mark("c", 3.0, None, 9.0)]
    for plot in (
        svg.forest("a", "t", "d", [marks], "x"),
        svg.interaction("b", "t", "d", marks[:2], marks[1:], "x"),
        svg.bars("c", "t", "d", marks, "x"),
        svg.forest("d", "t", "d", [], "x"),
    ):
        figures_of(plot)
        assert "nan" not in plot
    assert svg.forest("a", "t", "d", [marks], "x").count("<circle") == 1


def test_a_plot_places_its_figures_to_scale() -> None:
    marks = [Mark("low", -20.0, -30.0, -10.0), Mark("zero", 0.0, -5.0, 5.0), Mark("high", 40.0, 20.0, 60.0)]
    root = ElementTree.fromstring(svg.forest("a", "t", "d", [marks], "x"))
    at = [float(each.get("cx", "")) for each in root.iter("{http://www.w3.org/2000/svg}circle")]
    assert (at[2] - at[1]) == pytest.approx(2 * (at[1] - at[0]), abs=0.3)
    zero = next(each for each in root.iter("{http://www.w3.org/2000/svg}line") if each.get("class") == "zero")
    assert float(zero.get("x1", "")) == at[1]


def test_the_verdict_of_a_whole_comparison(workspace: Workspace) -> None:
    with CompareStore(workspace.database) as store:
        found = store.comparison(write_comparison(workspace, questions=44, arms=(*MAIN, "oracle")))
        verdict = found.verdict
        assert verdict is not None
        text = html(verdict, store.asked(found.id), store.answers(found.id), store.rankings(found.id))
        answers = store.answers(found.id)
    tables_of(markdown(verdict))
    shown = "".join(Page(text).text)
    assert len(figures_of(text)) == 4
    for answer in answers:
        assert answer.text in shown
    for output in (shown, markdown(verdict).replace("\\", "")):
        assert verdict["recommendation"] in output
        for arm in verdict["arms"]:
            for name, estimate in arm["metrics"].items():
                assert figures.interval(estimate, METRICS[name].unit) in output
        for rows in (*verdict["differences"].values(), *verdict["effects"].values()):
            for row in rows:
                assert any(
                    figures.interval({name: sign * row[of] for name, of in ends.items()}, signed=True) in output
                    for sign, ends in (
                        (1, {"mean": "mean", "low": "low", "high": "high"}),
                        (-1, {"mean": "mean", "low": "high", "high": "low"}),
                    )
                ), row
        for category in verdict["attribution"]:
            assert category["title"] in output
        for cell in (value for row in verdict["decision"] for value in row["values"].values()):
            assert cell in output


def test_what_is_measurable_is_filled() -> None:
    verdict = a_verdict()
    assert plots.differences(verdict)[0].count('class="hollow"') == 6  # type: ignore[index]
    for each in verdict["effects"]["f1"]:
        each["p"] = 0.01  # and the interval of two excludes 0: the verdict decides, as it knows the noise floor
    assert plots.differences(verdict)[0].count('class="hollow"') == 6  # type: ignore[index]
    verdict["effects"]["f1"][0]["measurable"] = True
    assert plots.differences(verdict)[0].count('class="hollow"') == 5  # type: ignore[index]


def test_no_more_questions_are_asked_for_than_were_asked() -> None:
    verdict = a_verdict()
    pair, effect = verdict["differences"]["f1"][0], verdict["effects"]["f1"][0]
    for row, table in ((pair, differences), (effect, effects)):
        cells = []
        for values in (
            {"measurable": False, "needed": 60}, {"measurable": False, "needed": 61},
            {"measurable": True, "needed": 44}, {"measurable": False, "needed": 44, "floor": 0.9},
            {"measurable": False, "needed": None},
        ):  # fmt: skip
            row.update(values)
            made = table(verdict, "f1")
            assert made is not None
            first = made.rows[0]
            cells.append((first[made.columns.index("measurable")], first[made.columns.index("questions needed")]))
        assert cells == [("no", "a few more"), ("no", "61"), ("yes", "44"), ("no", "-"), ("no", "-")]
    del effect["measurable"]  # a verdict of before effects told it
    assert effects(verdict, "f1").rows[0][3] == "-"  # type: ignore[union-attr]


def test_two_comparisons_against_each_other() -> None:
    change = {**estimate(0.105), "p": 0.0004, "measurable": True}
    found = {
        "first": "before|", "second": "after", "metric": "f1", "n": 50,
        "arms": [{"arm": "base", "first": 0.1, "second": 0.205, "difference": change}],
        "changed": [
            {"arm": "base", "question": HOSTILE, "first_number": 1, "second_number": 2, "first": "x", "second": "y"}
        ],
        "cautions": ["Another base."],
    }  # fmt: skip
    text = versus_markdown(found)
    tables = tables_of(text)
    assert tables[0][2] == ["base", "10.0", "20.5", "+10.5 (+6.5 to +14.5)", "< 0.001", "yes"]
    assert "Another base." in text
    assert len(tables) == 2
    tables_of(versus_markdown({**found, "arms": [], "changed": [], "n": 0}))


def test_nothing_heavy_is_imported() -> None:
    heavy = "torch transformers numpy scipy pandas datasets usearch peft textual"
    code = (
        "import sys; import workbench.compare.report.html, workbench.compare.report.markdown;"
        f"print([name for name in '{heavy}'.split() if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
