"""Questions of a comparison: imported from files, taken from a run's eval split, and told from what a run learned."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from workbench import files
from workbench.compare import leakage
from workbench.compare.evalsplit import document_name, questions_of
from workbench.compare.importing import ImportResult, import_questions
from workbench.compare.question import Question, set_hash
from workbench.compare.store import CompareStore
from workbench.errors import UserError
from workbench.jobs.context import Context
from workbench.jobs.folder import JobFolder, Status
from workbench.library.grounding import NOT_IN_LIBRARY
from workbench.library.search import Hit
from workbench.pairs.pair import NewPair
from workbench.pairs.store import PairStore
from workbench.training.context import with_passages
from workbench.training.data import FrozenPair, freeze
from workbench.training.prepare import prepare
from workbench.training.recipe import ContextSettings, Recipe
from workbench.workspace import Workspace

USER = {"role": "user", "content": "Hi"}
SYSTEM = {"role": "system", "content": "Be brief."}
HEAVY = {"torch", "transformers", "peft", "usearch", "sentence_transformers", "datasets", "scipy", "pandas", "tantivy"}


def ask(text: str, *before: dict[str, str]) -> Question:
    return Question(messages=(*before, {"role": "user", "content": text}))


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def bring(workspace: Workspace, name: str, content: str | bytes, **more: Any) -> tuple[ImportResult, list[Question]]:
    """Write a file, import it into the set "s", and return the result and the set's questions."""
    path = workspace.root / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with CompareStore(workspace.database) as store:
        result = import_questions(store, path, "s", **more)
        return result, store.questions("s")


def reasons(result: ImportResult) -> list[tuple[int, str]]:
    return [(fault.line, fault.reason) for fault in result.faults]


# Importing


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"question": "Hi", "answers": ["a", "b", "a"], "answerable": True},
         {"answers": ("a", "b"), "answerable": True}),
        ({"Prompt": "Hi", "Completion": "a"}, {"answers": ("a",), "answerable": True}),
        ({"query": "Hi", "reference": ["a"], "is_impossible": False}, {"answers": ("a",), "answerable": True}),
        ({"input": "Hi", "answer": "", "is_impossible": True}, {"answerable": False}),
        ({"question": "Hi", "answers": []}, {"answerable": None}),
        ({"question": "Hi"}, {"answerable": None}),
        ({"question": "Hi", "answerable": "Yes"}, {"answerable": True}),
        ({"question": "Hi", "answers": None, "answerable": "0"}, {"answerable": False}),
        ({"question": "Hi", "answers": "[1] says so"}, {"answers": ("[1] says so",), "answerable": True}),
        ({"question": "Hi", "answers": '["a"]'}, {"answers": ('["a"]',), "answerable": True}),
        # SQuAD, as the Hugging Face dataset has it: without a text there is no answer
        ({"question": "Hi", "title": "T", "context": "It is a.",
          "answers": {"text": ["a", "a"], "answer_start": [6, 6]}},
         {"answers": ("a",), "answerable": True, "context": "It is a."}),
        ({"question": "Hi", "context": "It is a.", "answers": {"text": [], "answer_start": []}},
         {"answerable": False, "context": "It is a."}),
        ({"question": "Hi", "answers": [{"text": "a", "answer_start": 6}]}, {"answers": ("a",), "answerable": True}),
        # The place
        ({"question": "Hi", "document": "a/b.md", "passage": "P"}, {"document": "a/b.md", "context": "P"}),
        ({"question": "Hi", "source": "a/b.md"}, {"document": "b.md"}),
        ({"question": "Hi", "source": "rows.jsonl:17"}, {"document": ""}),
        ({"question": "Hi", "source": 17}, {"document": ""}),
        ({"question": "Hi", "file": "b.md", "source": "c.md"}, {"document": "b.md"}),
        # A format
        ({"question": "Hi", "regex": r"\d+"}, {"pattern": r"\d+"}),
        ({"question": "Hi", "schema": {"type": "object"}}, {"schema": {"type": "object"}}),
        ({"question": "Hi", "json_schema": '{"type": "array"}'}, {"schema": {"type": "array"}}),
        # Chats
        ({"messages": [SYSTEM, USER], "answer": "a"},
         {"messages": (SYSTEM, USER), "answers": ("a",), "answerable": True}),
        ({"question": "Hi", "system": "Be brief."}, {"messages": (SYSTEM, USER)}),
        ({"prompt": [SYSTEM, USER], "completion": "a"},
         {"messages": (SYSTEM, USER), "answers": ("a",), "answerable": True}),
        ({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "a"}]},
         {"answers": ("a",), "answerable": True}),
        ({"messages": json.dumps([USER])}, {}),
        ({"instruction": "Add.", "input": "1 2", "output": "3"},
         {"messages": ({"role": "user", "content": "Add.\n\n1 2"},), "answers": ("3",), "answerable": True}),
    ],
)  # fmt: skip
def test_rows_become_questions(workspace: Workspace, row: dict[str, Any], expected: dict[str, Any]) -> None:
    result, questions = bring(workspace, "rows.jsonl", lines(row))
    assert (result.added, result.duplicates, result.faults) == (1, 0, [])
    assert questions == [Question(**{"messages": (USER,), **expected})]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"other": 1}, "has no question"),
        ({"question": " "}, "question is empty"),
        ({"question": "a\0b"}, "question has a NUL character at character 2"),
        ({"question": "a\ud83d"}, "question has half a surrogate pair (\\ud83d) at character 2"),
        ({"question": 7}, "question is a number, not text"),
        ({"question": "Hi", "answers": [""]}, "an answer is empty"),
        ({"question": "Hi", "answers": [None]}, "an answer is null, not text"),
        ({"question": "Hi", "answers": {"start": [1]}}, "answers is an object without text"),
        ({"question": "Hi", "answers": [], "answerable": True},
         "contradicts itself: it is answerable, but its answers are empty"),
        ({"question": "Hi", "answers": ["a"], "answerable": False},
         "contradicts itself: it is not answerable, but has an answer"),
        ({"question": "Hi", "answers": ["a"], "is_impossible": 1},
         "contradicts itself: it is not answerable, but has an answer"),
        ({"question": "Hi", "answerable": True, "is_impossible": True},
         "contradicts itself: answerable and is_impossible are the same"),
        ({"question": "Hi", "answerable": "maybe"}, "answerable is 'maybe', neither true nor false"),
        ({"question": "Hi", "context": "\0"}, "context has a NUL character at character 1"),
        ({"question": "Hi", "pattern": "("},
         "pattern: it is not a regular expression (missing ), unterminated subpattern at position 0)"),
        ({"question": "Hi", "schema": "{"}, "schema is not JSON"),
        ({"question": "Hi", "schema": True}, "schema is not an object"),
        ({"question": "Hi", "schema": {"const": float("nan")}}, "schema holds something that JSON does not know"),
        ({"question": "Hi", "schema": {"const": "\ud800"}}, "schema holds something that JSON does not know"),
        ({"question": "Hi", "schema": json.loads('{"not":' * 200 + "{}" + "}" * 200)},
         "schema has more than 64 levels"),
        ({"messages": []}, "messages is not a list of turns"),
        ({"messages": "Hi"}, "messages is not JSON"),
        ({"messages": [USER, SYSTEM]}, "messages do not end with the user's"),
        ({"messages": [{"role": "tool", "content": "x"}]},
         "messages has a turn of role 'tool'; only system, user and assistant can be learned"),
    ],
)  # fmt: skip
def test_bad_rows_are_named_and_skipped(workspace: Workspace, row: dict[str, Any], reason: str) -> None:
    good = {"question": "Good?", "answers": ["a"]}
    result, questions = bring(workspace, "rows.jsonl", lines(good, row))
    assert (result.added, reasons(result)) == (1, [(2, reason)])
    assert [question.text for question in questions] == ["Good?"]


def test_schemas_are_checked(workspace: Workspace) -> None:
    rows = [
        {"question": "1", "schema": {"type": "object", "properties": {"a": {"type": "integer"}}}},
        {"question": "2", "schema": {"type": "objekt"}},
        {"question": "3", "schema": {"$schema": [], "type": "object"}},
        {"question": "4", "schema": {"$ref": "https://example.com/never-fetched"}},
        {"question": "5", "schema": {"properties": {"a": {"$ref": "#/nowhere"}}}},
        {"question": "6", "schema": {"patternProperties": {"a": True}, "unevaluatedProperties": False}},
        {"question": "7", "schema": {"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "null"}}}},
    ]
    result, questions = bring(workspace, "rows.jsonl", lines(*rows))
    assert [line for line, _ in reasons(result)] == [2, 3, 4, 5, 6]
    assert "schema: it is not a JSON schema: 'objekt' is not valid" in result.faults[0].reason
    assert all("the JSON schema cannot be followed" in result.faults[at].reason for at in (2, 3))
    assert "unevaluatedProperties" in result.faults[4].reason
    assert [question.text for question in questions] == ["1", "7"]


def test_csv(workspace: Workspace) -> None:
    content = (
        "frage;answers;answerable;schema\n"
        'Wer?;"[""Aune"", ""Frau Aune""]";;\n'
        "Wo?;[sic] Oslo;yes;\n"
        "Wann?;;no;\n"
        'Was?;;;"{""type"": ""string""}"\n'
        "Wie?;so;no;\n"
    )
    result, questions = bring(workspace, "rows.csv", content, columns={"question": "frage"})
    assert [(each.text, each.answers, each.answerable) for each in questions] == [
        ("Wer?", ("Aune", "Frau Aune"), True),
        ("Wo?", ("[sic] Oslo",), True),
        ("Wann?", (), False),
        ("Was?", (), None),
    ]
    assert questions[3].schema == {"type": "string"}
    assert [line for line, _ in reasons(result)] == [6]
    assert result.columns == {name: name for name in ("answers", "answerable", "schema")} | {"question": "frage"}


def test_parquet_with_squads_nested_answers(workspace: Workspace) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = [
        {"id": "1", "question": "q1", "context": "c", "answers": {"text": ["a"], "answer_start": [0]}},
        {"id": "2", "question": "q2", "context": "c", "answers": {"text": [], "answer_start": []}},
    ]
    path = workspace.root / "rows.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    _, questions = bring(workspace, path.name, path.read_bytes())
    assert [(each.answers, each.answerable, each.context) for each in questions] == [
        (("a",), True, "c"),
        ((), False, "c"),
    ]


def test_columns_are_looked_for_in_all_rows_and_can_be_left_out(workspace: Workspace) -> None:
    rows: list[dict[str, Any]] = [{"question": f"q{n}", "context": ["not", "text"]} for n in range(300)]
    rows[-1]["pattern"] = "[0-9]+"
    result, questions = bring(workspace, "rows.jsonl", lines(*rows), columns={"context": "", "prompt": "question"})
    assert (result.added, result.columns) == (300, {"question": "question", "pattern": "pattern"})
    assert questions[-1].pattern == "[0-9]+"


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        ({"text": "Hi"}, {}, "no column holds questions: text. Say which column is which"),
        ({"question": "Hi"}, {"question": "frage"}, "there is no column 'frage'. It has: question"),
        ({"question": "Hi"}, {"frage": "question"}, "questions have no column 'frage'"),
        (
            {"question": 1, "answer": "x"},
            {},
            r"rows.jsonl:1: none of its 1 rows is a question; the first: question is a",
        ),
    ],
)
def test_files_that_are_refused_leave_nothing(
    workspace: Workspace, content: dict[str, Any], columns: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        bring(workspace, "rows.jsonl", lines(content), columns=columns)
    with CompareStore(workspace.database) as store:
        assert store.sets() == []


def test_files_that_are_no_rows_are_refused(workspace: Workspace) -> None:
    for content, message in (("", "holds no rows"), ("{broken\n", "rows.jsonl:1: none of its rows can be read")):
        with pytest.raises(UserError, match=message):
            bring(workspace, "rows.jsonl", content)
    with pytest.raises(UserError, match="cannot name a question set"), CompareStore(workspace.database) as store:
        import_questions(store, workspace.root / "absent.jsonl", "../s")


def test_the_questions_of_squad_come_in_as_they_are(workspace: Workspace, shared_data: Path) -> None:
    path = shared_data / "squad" / "questions.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    with CompareStore(workspace.database) as store:
        first = import_questions(store, path, "squad")
        assert (first.added, first.duplicates, first.faults) == (len(rows), 0, [])
        questions = store.questions("squad")
        for question, row in zip(questions, rows, strict=True):
            assert question == Question(
                messages=({"role": "user", "content": row["question"]},),
                answers=tuple(row["answers"]),
                answerable=row["answerable"],
                document=row["document"],
                context=row["context"],
            )
        before = store.sets()
        again = import_questions(store, path, "squad")
        assert (again.added, again.duplicates) == (0, len(rows))
        assert store.sets() == before
        assert before[0].sha256 == set_hash(questions)


# The eval split


def run_of(workspace: Workspace, name: str, recipe: Recipe) -> JobFolder:
    """The folder of a run that has not begun."""
    folder = workspace.runs / name
    folder.mkdir(parents=True)
    arguments = {"recipe": recipe.model_dump(mode="json"), "recipe_name": "r", "base": "b", "system": None}
    files.write_json(folder / "spec.json", {"kind": "train", "title": "t", "arguments": arguments, "created_at": 0.0})
    return JobFolder(folder)


def freeze_into(job: JobFolder, pairs: Sequence[FrozenPair]) -> None:
    files.write_json(job.path / "prepared.json", {"sha256": freeze(job.path, pairs), "samples": []})


def hold_out(new: NewPair, **more: Any) -> FrozenPair:
    """The pair as a run holds it out."""
    messages = [dict(message) for message in new.messages]
    return FrozenPair(new.key, messages, new.completion or "", new.source, True, [], **more)


def pair(question: str, completion: str, source: str = "", *before: dict[str, str]) -> NewPair:
    return NewPair(messages=[*before, {"role": "user", "content": question}], completion=completion, source=source)


def test_the_eval_split_is_what_the_run_held_out(workspace: Workspace) -> None:
    rows = [pair(f"What is {n} plus one?", f"It is {n + 1}.", f"rows.jsonl:{n}", SYSTEM) for n in range(40)]
    with PairStore(workspace.database) as store:
        store.add("numbers", rows, status="accepted")
    recipe = Recipe(dataset="numbers", test_size=0.25)
    job = run_of(workspace, "tone", recipe)
    with pytest.raises(UserError, match="the run 'tone' has not chosen its pairs yet"):
        questions_of(workspace, "tone")
    prepared = prepare(Context(job, Status()), recipe)

    questions = questions_of(workspace, "tone")
    assert [list(question.messages) for question in questions] == [each.messages for each in prepared.evaluation]
    assert questions[0].messages[0] == SYSTEM
    assert [question.answers for question in questions] == [(each.completion,) for each in prepared.evaluation]
    assert {(each.answerable, each.document, each.context) for each in questions} == {(True, "", "")}

    trained = leakage.trained_on(workspace, "tone")
    assert [prompt for _, prompt in trained] == [each.messages[-1]["content"] for each in prepared.training]
    first = prepared.training[0]
    assert trained[0][0] == f"numbers, pair {first.key[:8]} ({first.source})"
    assert len(questions) + len(trained) == 40
    assert leakage.known(questions, trained) == []  # a sum with other numbers is another sum

    with pytest.raises(UserError, match="there is no run 'absent'"):
        questions_of(workspace, "absent")
    none = recipe.model_copy(update={"test_size": 0.0})
    prepare(Context(run_of(workspace, "all", none), Status()), none)
    with pytest.raises(UserError, match=r"'all' kept none of its 40 pairs for evaluation \(test_size 0\)"):
        questions_of(workspace, "all")
    frozen = job.path / "pairs.jsonl"
    frozen.write_bytes(frozen.read_bytes().replace(b"What", b"How ", 1))
    with pytest.raises(UserError, match="is not the copy"):
        questions_of(workspace, "tone")


def test_questions_of_a_run_with_passages_tell_the_place(workspace: Workspace) -> None:
    rows = {
        "found": pair("How long is leave?", "=> 27 days.", "handbook/leave.md"),
        "gone": pair("How much is it?", "27 days", "leave.md"),
        "refused": pair("Who is Aune?", "The passages do not tell.", "leave.md"),
        "standard": pair("Who is Bo?", NOT_IN_LIBRARY),
        "unplaced": pair("What is the colour?", "Red", "rows.jsonl:3"),
    }
    right = Hit(1, "Leave is **27 days** a year.", "a/leave.md", "T", "H", 0, 9, 1, 1, None, 1.0, 1, 1, 0.5)
    other = replace(right, chunk=2, text="Nothing of that.", document="other.md")
    settings = ContextSettings(index="i", k=2, refusal="The passages do not tell.")

    def search(questions: Sequence[str], k: int) -> list[list[Hit]]:
        return [[other, right] for _ in questions]

    with PairStore(workspace.database) as store:
        store.add("d", [row for name, row in rows.items() if name not in ("gone", "refused")])
    frozen = [hold_out(row) for row in rows.values()]
    given, _ = with_passages(frozen, search, settings, seed=1)
    withheld, report = with_passages(frozen, search, settings.model_copy(update={"without": 1.0}), seed=1)
    assert report.withheld == 2
    recipe = Recipe(dataset="d", context=settings)
    freeze_into(run_of(workspace, "given", recipe), given)
    freeze_into(run_of(workspace, "withheld", recipe), withheld)

    expected = {
        question.text: (question.answers, question.answerable, question.document, question.context)
        for question in questions_of(workspace, "given")
    }
    assert expected == {
        "How long is leave?": (("=> 27 days.",), True, "a/leave.md", right.text),
        "How much is it?": (("27 days",), True, "a/leave.md", right.text),
        "Who is Aune?": ((), False, "leave.md", ""),
        "Who is Bo?": ((), False, "", ""),
        "What is the colour?": (("Red",), True, "", ""),
    }
    # The withheld ones: their completion comes from the workspace's pairs, or they are left out.
    found = {question.text: question for question in questions_of(workspace, "withheld")}
    assert found.keys() == expected.keys() - {"How much is it?"}
    leave = found["How long is leave?"]
    assert (leave.answers, leave.answerable) == (("=> 27 days.",), True)
    assert (leave.document, leave.context) == ("leave.md", "")
    assert found["Who is Aune?"].answerable is False


def test_pairs_with_the_same_messages_are_one_question(workspace: Workspace) -> None:
    rows = [hold_out(pair("Who?", text)) for text in (NOT_IN_LIBRARY, "Aune", "Frau Aune", "Aune")]
    freeze_into(run_of(workspace, "twice", Recipe(dataset="d")), rows)
    (question,) = questions_of(workspace, "twice")
    assert (question.answers, question.answerable) == (("Aune", "Frau Aune"), True)


def test_what_looks_like_a_document() -> None:
    sources = ("leave.md", "a/b/leave.md ", "rows.jsonl:3", "squad", "https://example.com/a.html", "", "page 3")
    assert [document_name(source) for source in sources] == ["leave.md", "leave.md", "", "", "a.html", "", ""]


# What the run was trained on


def known_to(question: Question, *prompts: str) -> list[tuple[str, str, float]]:
    found = leakage.known([question], [(f"pair {n}", prompt) for n, prompt in enumerate(prompts)])
    return [(each.pair_where, each.how, round(each.similarity, 2)) for each in found]


TEN = "In what country of Europe is the region of Normandy"


@pytest.mark.parametrize(
    ("question", "prompt", "how"),
    [
        (f"{TEN}?", f"  {TEN.upper()} !", ("exactly", 1.0)),
        (f"{TEN}?", f"{TEN} located?", ("nearly", 0.91)),
        (f"{TEN}?", TEN.replace("what", "which"), ("nearly", 0.82)),
        (f"{TEN}?", "In the region of Normandy what is of Europe country", ("nearly", 1.0)),
        (f"{TEN}?", TEN.replace("what", "which").replace("region", "land"), None),
        # Bags, not sets: what is said twice counts twice
        ("is is is is is this that", "is this that what when", None),
        # In a short question each word makes it another one
        ("When was Rome founded?", "when was rome founded", ("exactly", 1.0)),
        ("When was Rome founded?", "When was Rome not founded?", None),
        ("Who founded Rome, and when was it?", "Who founded Rome, and where was it?", None),
        # Other numbers, other operators
        (
            "How many days of leave has a clerk in 2019 or so?",
            "How many days of leave has a clerk in 2020 or so?",
            None,
        ),
        ("What is 2 + 3?", "What is 2 - 3?", None),
        ("What is 2 + 3?", "what is 2 +3", ("exactly", 1.0)),
        # No words at all
        ("?!", "?!", ("exactly", 1.0)),
        ("?!", "...", None),
    ],
)
def test_exactly_nearly_and_not(question: str, prompt: str, how: tuple[str, float] | None) -> None:
    expected = [("pair 0", *how)] if how else []
    assert known_to(ask(question), prompt) == expected


def test_each_known_question_is_told_once_with_the_pair_most_like_it() -> None:
    close, closer = f"{TEN} really located?", f"{TEN} located?"
    assert known_to(ask(TEN), "Who?", close, closer, closer) == [("pair 2", "nearly", 0.91)]
    shuffled = " ".join(reversed(TEN.split()))
    assert known_to(ask(TEN), shuffled, f"{TEN}?") == [("pair 1", "exactly", 1.0)]
    questions = [ask("Quite another thing it is."), ask(TEN), ask(f"{TEN}!")]
    found = leakage.known(questions, [("there", TEN)])
    assert [(each.question_number, each.question_text, each.pair_prompt) for each in found] == [
        (1, TEN, TEN),
        (2, f"{TEN}!", TEN),
    ]


def test_a_short_follow_up_is_not_looked_for() -> None:
    chat = (USER, {"role": "assistant", "content": "Ho"})
    assert known_to(ask("And why?"), "And why?") == [("pair 0", "exactly", 1.0)]
    assert known_to(ask("And why?", *chat), "And why?") == []
    assert known_to(ask(TEN, *chat), TEN) == [("pair 0", "exactly", 1.0)]


def test_words_that_most_prompts_have_are_the_task_and_no_sign_of_a_leak() -> None:
    task = "Is the following review of a film positive or negative, in one word:"
    prompts = [f"{task} {first}{second}" for first in "abcdefgh" for second in "vwxyz"]
    assert known_to(ask(f"{task} ok"), *prompts) == []
    assert known_to(ask(f"{task} bv!"), *prompts) == [("pair 5", "exactly", 1.0)]
    assert known_to(ask(f"{task} ok"), prompts[0]) == [("pair 0", "nearly", 0.87)]  # too few to know the task by


def test_the_refusal_names_five() -> None:
    leakage.refuse([], "tone")
    questions = [ask(f"Question of the number {n}?") for n in range(7)]
    prompts = [("numbers, pair 1f3a52c0", question.text) for question in questions]
    found = leakage.known(questions, prompts)
    with pytest.raises(UserError) as caught:
        leakage.refuse(found, "tone")
    text = str(caught.value)
    assert text.startswith("7 questions are among the pairs that the run 'tone' was trained on: ")
    assert '"Question of the number 4?" (exactly: numbers, pair 1f3a52c0); and 2 more. Leave them out' in text
    assert "number 5" not in text
    assert "--leave-out-known" in text
    nearly = leakage.known([ask(f"{TEN} " + "x" * 100)], [("there", TEN)])
    with pytest.raises(UserError, match=r'1 question is among .*\.\.\." \(nearly, 91%: there\)\. Leave') as caught:
        leakage.refuse(nearly, "tone")
    assert "x" * 80 not in str(caught.value)


def test_the_filter_loses_nothing_and_compares_little(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(0)
    words = [f"w{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(400)]
    prompts = [("p", " ".join(dice.choices(words, k=dice.randrange(5, 15)))) for _ in range(2_000)]
    questions = []
    for _, prompt in dice.sample(prompts, 150):
        changed = prompt.split()
        for _ in range(dice.randrange(3)):
            changed[dice.randrange(len(changed))] = dice.choice(words)
        questions.append(ask(" ".join(changed)))

    compare, compared = leakage._similarity, []
    monkeypatch.setattr(leakage, "_similarity", lambda *each: (compared.append(1), compare(*each))[1])
    found = {each.question_number for each in leakage.known(questions, prompts)}
    assert len(compared) < 0.1 * len(questions) * len(prompts)

    bags = [Counter(prompt.split()) for _, prompt in prompts]
    expected = set()
    for number, question in enumerate(questions):
        own = Counter(question.text.split())
        if any((own & bag).total() / (own | bag).total() >= leakage.NEARLY for bag in bags):
            expected.add(number)
    assert found == expected
    assert 50 < len(found) < 150


def test_nothing_heavy_is_imported(workspace: Workspace) -> None:
    """The app's process reads eval splits and imports questions."""
    rows = [pair(f"What is {n}?", "x") for n in range(20)]
    with PairStore(workspace.database) as store:
        store.add("numbers", rows, status="accepted")
    recipe = Recipe(dataset="numbers", test_size=0.5)
    prepare(Context(run_of(workspace, "tone", recipe), Status()), recipe)
    (workspace.root / "rows.jsonl").write_text('{"question": "Hi", "schema": {"type": "object"}}\n')
    script = f"""
import sys
from pathlib import Path
from workbench.compare import evalsplit, importing, leakage
from workbench.compare.store import CompareStore
from workbench.workspace import find
workspace = find(sys.argv[1])
with CompareStore(workspace.database) as store:
    importing.import_questions(store, workspace.root / "rows.jsonl", "s")
leakage.known(evalsplit.questions_of(workspace, "tone"), leakage.trained_on(workspace, "tone"))
print(sorted({HEAVY!r} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, workspace.root], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_rows_of_one_file_may_name_their_answers_otherwise(workspace: Workspace) -> None:
    rows = lines({"question": "One?", "answers": ["1"]}, {"question": "Two?", "Answer": "2"}, {"question": "Three?"})
    assert [question.answers for question in bring(workspace, "q.jsonl", rows)[1]] == [("1",), ("2",), ()]
