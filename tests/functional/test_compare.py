"""A comparison from the command line to the verdict: a real run, a real index, real answers of a tiny model."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_index import DOCUMENTS

from workbench.compare.answering import Answerer
from workbench.compare.question import Question
from workbench.compare.spec import Spec
from workbench.compare.store import CompareStore
from workbench.compare.usable import check_unchanged
from workbench.errors import UserError
from workbench.workspace import Workspace, init

Command = Callable[..., Any]
ASKED = [
    {"question": "When does the ferry leave?", "answers": ["8:05"], "document": "ferry.md"},
    {"question": "What do new crew receive?", "answers": ["two jackets and one oilskin"], "document": "uniform.txt"},
    {"question": "When is the museum closed?", "answers": ["14 January"], "document": "museum-hours.md"},
    {"question": "Who paints the lighthouse?", "answers": [], "answerable": False},
    {"question": "What is 7 plus one, as a number?", "answers": ["8"], "pattern": r"\d+"},
]


def run_command(root: Path, *arguments: object) -> Any:
    executable = Path(sys.executable).with_name("workbench")
    return subprocess.run(
        [executable, *map(str, arguments)], cwd=root, capture_output=True, text=True, timeout=300, env=dict(os.environ)
    )


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Workspace:
    """A workspace with a run `quick` trained with passages of the index `notes`, a question set, and a comparison
    `first` of five questions."""
    workspace = init(tmp_path_factory.mktemp("compared") / "workspace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_STATE", str(tmp_path_factory.mktemp("state")))
        documents = workspace.root / "documents"
        documents.mkdir()
        for name, text in DOCUMENTS.items():
            (documents / name).write_text(text)
        rows = [{"prompt": f"What is {n} plus one?", "completion": f"It is {n + 1}."} for n in range(40)]
        numbers = write_rows(workspace.root / "numbers.jsonl", rows)
        (workspace.configs / "quick.yaml").write_text(
            f"dataset: numbers\nmodel_name_or_path: {tiny_base}\nlearning_rate: 0.01\nmax_steps: 4\n"
            "per_device_train_batch_size: 4\neval_steps: 4\nnum_threads: 1\ntest_size: 0.2\nsystem_prompt: ''\n"
            "context: {index: notes, k: 2, without: 0.2, refusal: Not told.}\nsamples: {count: 0}\n"
        )
        asked = write_rows(workspace.root / "questions.jsonl", ASKED)
        for arguments in (
            ("index", "build", "notes", documents),
            ("pairs", "import", numbers, "--dataset", "numbers", "--status", "accepted"),
            ("train", "quick", "--name", "quick", "--follow"),
            ("compare", "questions", "import", asked, "--set", "trip"),
            (
                "compare",
                "start",
                "--run",
                "quick",
                "-q",
                "trip",
                "--name",
                "first",
                "--max-tokens",
                8,
                "--oracle",
                "-f",
            ),
        ):
            done = run_command(workspace.root, *arguments)
            assert done.returncode == 0, done.stderr
    return workspace


def copy_of(workspace: Workspace, tmp_path: Path) -> Workspace:
    return Workspace(Path(shutil.copytree(workspace.root, tmp_path / "copy")))


def table(workspace: Workspace, name: str) -> dict[tuple[int, str], tuple[str, float | None]]:
    """By question and arm: the answer and its F1."""
    with CompareStore(workspace.database) as store:
        answers = store.answers(store.comparison(name).id)
    return {(each.number, each.arm): (each.text, each.scores["f1"]) for each in answers}


def test_every_arm_answers_every_question_once_and_the_verdict_says_what_it_is_worth(compared: Workspace) -> None:
    with CompareStore(compared.database) as store:
        first = store.comparison("first")
        answers, rankings = store.answers(first.id), store.rankings(first.id)
        questions = store.asked(first.id)
    assert first.arms == ["base", "tuned", "rag", "hybrid", "oracle"]
    placed = {number for number, question in enumerate(questions) if question.document}
    wanted = {(number, arm) for number in range(5) for arm in first.arms if arm != "oracle" or number in placed}
    assert {(each.number, each.arm) for each in answers} == wanted
    assert first.spec["top_k"] == 2, "the k that the run was trained with"
    assert first.spec["refusals"] == ["Not told."]
    assert len(first.spec["set_sha256"]) == 64
    for each in answers:
        given = {"rag": 2, "hybrid": 2, "oracle": 1}.get(each.arm, 0)
        assert len(each.citations) == (0 if each.figures["not_in_library"] else given), each
        assert each.scores["seconds"] is not None
        assert each.scores["seconds"] > 0
        assert each.figures.get("error") is None
    tokens = {(each.number, each.arm): each.scores["prompt_tokens"] for each in answers}
    for number in range(5):
        assert tokens[number, "base"] == tokens[number, "tuned"], "every arm is told the same"
        assert tokens[number, "rag"] == tokens[number, "hybrid"]
    ferry = next(number for number, question in enumerate(questions) if "ferry" in question.text)
    assert rankings[ferry].rank == 1
    assert rankings[ferry].hits[0]["document"] == "ferry.md"

    done = run_command(compared.root, "compare", "show", "first", "--json")
    verdict = json.loads(done.stdout)
    assert verdict["recommended"] is None, "five questions settle nothing"
    assert any("30" in caution for caution in verdict["cautions"])
    assert verdict["n"] == 5
    assert sum(each["count"] for each in verdict["attribution"]) == 5
    assert verdict["costs"]["run"]["seconds"] > 0
    assert verdict["costs"]["index"]["documents"] == 3
    assert verdict["costs"]["update"]["found"] is True
    assert verdict["costs"]["update"]["seconds_to_index"] > 0
    assert not list((compared.root / "jobs").glob("*/.update-probe*"))


def test_the_documents_and_the_index_are_as_they_were_after_the_update_was_measured(compared: Workspace) -> None:
    assert {path.name for path in (compared.root / "documents").iterdir()} == set(DOCUMENTS)
    shown = json.loads(run_command(compared.root, "index", "list", "--json").stdout.splitlines()[0])
    assert shown["documents"] == 3


@pytest.mark.slow
def test_the_same_seed_gives_the_same_table(compared: Workspace, tmp_path: Path) -> None:
    workspace = copy_of(compared, tmp_path)
    options = ("--run", "quick", "-q", "trip", "--max-tokens", 8, "-n", 3, "--seed", 4, "-f")
    for name in ("once", "twice"):
        assert run_command(workspace.root, "compare", "start", "--name", name, *options).returncode == 0
    assert table(workspace, "once") == table(workspace, "twice") != {}
    done = run_command(workspace.root, "compare", "versus", "once", "twice", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["n"] == 3
    assert found["changed"] == []
    assert all(arm["difference"]["mean"] == 0 for arm in found["arms"])


def test_the_eval_split_is_asked_and_nothing_that_was_trained_on(compared: Workspace, tmp_path: Path) -> None:
    workspace = copy_of(compared, tmp_path)
    frozen = [json.loads(line) for line in (workspace.run("quick") / "pairs.jsonl").read_text().splitlines()]
    held_out = {pair["messages"][-1]["content"] for pair in frozen if pair["evaluated"]}
    options = ("--run", "quick", "--max-tokens", 4, "-n", 2)
    done = run_command(workspace.root, "compare", "start", *options, "-f")
    assert done.returncode == 0, done.stderr
    with CompareStore(workspace.database) as store:
        newest = store.comparisons()[0]
        assert {question.text for question in store.asked(newest.id)} <= held_out


def test_a_question_that_the_run_was_trained_on_is_refused_by_name(compared: Workspace, tmp_path: Path) -> None:
    workspace = copy_of(compared, tmp_path)
    frozen = [json.loads(line) for line in (workspace.run("quick") / "pairs.jsonl").read_text().splitlines()]
    trained = next(pair["messages"][-1]["content"] for pair in frozen if not pair["evaluated"])
    leaked = write_rows(workspace.root / "leaked.jsonl", [*ASKED[:1], {"question": trained, "answers": ["3"]}])
    assert run_command(workspace.root, "compare", "questions", "import", leaked, "--set", "leaked").returncode == 0
    options = ("--run", "quick", "-q", "leaked", "--max-tokens", 4, "--name", "leaky")
    refused = run_command(workspace.root, "compare", "start", *options)
    assert refused.returncode == 1
    assert trained in refused.stderr
    assert "--leave-out-known" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert run_command(workspace.root, "compare", "start", *options, "--leave-out-known", "-f").returncode == 0
    with CompareStore(workspace.database) as store:
        assert [question.text for question in store.asked(store.comparison("leaky").id)] == [ASKED[0]["question"]]


def test_an_index_of_another_embedder_leaves_what_can_still_be_concluded(compared: Workspace, tmp_path: Path) -> None:
    workspace = copy_of(compared, tmp_path)
    database = sqlite3.connect(workspace.index("notes") / "index.sqlite")
    with database:
        database.execute("UPDATE facts SET value = 'other' WHERE key = 'fingerprint'")
    database.close()
    options = ("--run", "quick", "-q", "trip", "--max-tokens", 4, "-n", 2, "--name", "half", "-f")
    done = run_command(workspace.root, "compare", "start", *options)
    assert done.returncode == 0, done.stderr
    assert "workbench index update notes" in done.stderr
    assert "not that of retrieval" in done.stderr
    with CompareStore(workspace.database) as store:
        half = store.comparison("half")
    assert half.arms == ["base", "tuned"]
    assert half.verdict
    assert any("not that of retrieval" in caution for caution in half.verdict["cautions"])


def test_an_adapter_of_another_base_leaves_retrieval(compared: Workspace, tmp_path: Path) -> None:
    workspace = copy_of(compared, tmp_path)
    manifest = next((workspace.run("quick") / "adapter").glob("workbench-manifest.json"))
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "base_fingerprint": "0" * 64}))
    options = ("--run", "quick", "-q", "trip", "--max-tokens", 4, "-n", 2, "--name", "half", "-f")
    done = run_command(workspace.root, "compare", "start", *options)
    assert done.returncode == 0, done.stderr
    assert "not that of tuning" in done.stderr
    with CompareStore(workspace.database) as store:
        assert store.comparison("half").arms == ["base", "rag"]


@pytest.mark.slow
def test_questions_without_reference_answers_still_tell_of_support_and_costs(
    compared: Workspace, tmp_path: Path
) -> None:
    workspace = copy_of(compared, tmp_path)
    bare = write_rows(
        workspace.root / "bare.jsonl", [{"question": f"What about the museum, part {n}?"} for n in range(2)]
    )
    assert run_command(workspace.root, "compare", "questions", "import", bare, "--set", "bare").returncode == 0
    done = run_command(
        workspace.root, "compare", "start", "--run", "quick", "-q", "bare", "--max-tokens", 4, "--name", "bare", "-f"
    )
    assert done.returncode == 0, done.stderr
    assert "No question has a reference answer" in done.stderr
    with CompareStore(workspace.database) as store:
        bare_one = store.comparison("bare")
    assert bare_one.spec["metric"] == "support"
    assert bare_one.verdict
    assert bare_one.verdict["arms"][0]["metrics"]["seconds"]["mean"] > 0
    assert "f1" not in bare_one.verdict["arms"][0]["metrics"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--run", "nobody"), "there is no run 'nobody'"),
        (("--run", "quick", "-q", "nothing"), "there is no question set 'nothing' (there are: trip)"),
        (("--run", "quick", "-q", "trip", "--metric", "beauty"), "'beauty' is no metric"),
        (("-q", "trip"), "there is nothing to compare with the base model"),
        (("--run", "quick", "-q", "trip", "--name", "first"), "there is a comparison 'first' already"),
        (("--run", "quick", "-q", "trip", "--arm", "hybrid=x"), "is taken by another arm"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(compared: Workspace, options: Any, said: str) -> None:
    done = run_command(compared.root, "compare", "start", *options)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_verdict_is_exported_in_three_forms(compared: Workspace, tmp_path: Path) -> None:
    for name in ("verdict.md", "verdict.html", "verdict.json"):
        done = run_command(compared.root, "compare", "export", "first", tmp_path / name)
        assert done.returncode == 0, done.stderr
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    assert verdict["recommendation"] in (tmp_path / "verdict.md").read_text()
    page = (tmp_path / "verdict.html").read_text()
    assert "When does the ferry leave?" in page
    assert "http://" not in page.replace("http://www.w3.org/", "")
    refused = run_command(compared.root, "compare", "export", "first", tmp_path / "verdict.doc")
    assert refused.returncode == 1
    assert ".md, .html or .json" in refused.stderr


def test_answers_are_listed_with_their_attribution(compared: Workspace) -> None:
    rows = [
        json.loads(line)
        for line in run_command(compared.root, "compare", "answers", "first", "--json").stdout.splitlines()
    ]
    assert len(rows) == 5
    painter = next(row for row in rows if "paints" in row["messages"][-1]["content"])
    assert painter["category"] in ("should_have_abstained", "abstained_rightly")
    assert set(painter["arms"]) == {"base", "tuned", "rag", "hybrid"}


def test_another_arm_may_not_have_learned_the_questions_either(compared: Workspace, tmp_path: Path) -> None:
    workspace = copy_of(compared, tmp_path)
    frozen = [json.loads(line) for line in (workspace.run("quick") / "pairs.jsonl").read_text().splitlines()]
    trained = next(pair["messages"][-1]["content"] for pair in frozen if not pair["evaluated"])
    leaked = write_rows(workspace.root / "leaked.jsonl", [{"question": trained, "answers": ["3"]}])
    assert run_command(workspace.root, "compare", "questions", "import", leaked, "--set", "leaked").returncode == 0
    with CompareStore(workspace.database) as store:
        tuned = store.comparison("first").spec["arms"][1]["hybrid"]
    options = ("--index", "notes", "-q", "leaked", "--arm", f"mine={tuned}")
    refused = run_command(workspace.root, "compare", "start", *options)
    assert refused.returncode == 1
    assert trained in refused.stderr


def test_a_comparison_goes_on_with_what_it_began_with_or_not_at_all(compared: Workspace, tmp_path: Path) -> None:
    workspace = copy_of(compared, tmp_path)
    with CompareStore(workspace.database) as store:
        spec = Spec.from_dict(store.comparison("first").spec)
    check_unchanged(workspace, spec)
    (workspace.root / "documents").mkdir(exist_ok=True)
    (workspace.root / "documents" / "new.md").write_text("# New\n\nThe ferry leaves at noon.\n")
    update = run_command(workspace.root, "index", "build", "notes", workspace.root / "documents", "--follow")
    assert update.returncode == 0, update.stderr
    with pytest.raises(UserError, match="the index was built or updated since this comparison began"):
        check_unchanged(workspace, spec)


def test_what_keeps_one_question_from_an_answer_is_kept_and_what_may_pass_is_not(
    compared: Workspace, tmp_path: Path
) -> None:
    workspace = copy_of(compared, tmp_path)
    with CompareStore(workspace.database) as store:
        spec = Spec.from_dict(store.comparison("first").spec)
    answerer = Answerer(workspace, spec)
    tuned = spec.arms[1]
    endless = Question(messages=({"role": "user", "content": "ferry " * 5000},), answers=("8:05",))
    kept = answerer.ask(0, endless, tuned)
    assert kept is not None
    assert "has room for" in kept.figures["error"]
    assert kept.scores == {}
    shutil.rmtree(workspace.run("quick") / "adapter")
    with pytest.raises(UserError, match="quick"):
        answerer.ask(1, Question(messages=({"role": "user", "content": "When does it leave?"},)), tuned)


def test_a_follow_up_is_ranked_by_what_the_arms_searched_for(compared: Workspace) -> None:
    with CompareStore(compared.database) as store:
        spec = Spec.from_dict(store.comparison("first").spec)
    answerer = Answerer(compared, spec)
    turns = ("When does the ferry leave?", "At 8:05.", "And do dogs travel on it on a lead?")
    roles = ("user", "assistant", "user")
    messages = tuple({"role": role, "content": text} for role, text in zip(roles, turns, strict=True))
    question = Question(messages=messages, document="ferry.md")
    answer = answerer.ask(0, question, spec.arms[2])
    assert answer is not None
    assert answer.citations
    assert [hit.document for hit in answerer.hits(question)[:2]] == [each["document"] for each in answer.citations]
