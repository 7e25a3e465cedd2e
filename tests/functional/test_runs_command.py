"""`workbench runs` over what became of runs: tags, comparing, cloning, deleting; and a grid that is really queued."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from sample_queue import until, waiting
from sample_runs import write_run

from screens.widgets.run_differences import figure_cells
from workbench import files
from workbench.jobs import control, queue
from workbench.jobs.folder import JobFolder
from workbench.jobs.follow import follow
from workbench.training import history, recipe, runs, tags
from workbench.training.run_comparison import compare
from workbench.workspace import Workspace

Command = Callable[..., Any]


def freeze(job: JobFolder, pairs: list[tuple[str, str]], evaluated: int = 0) -> None:
    """The frozen pairs of a run, as `prepare` writes them."""
    lines = [
        {
            "key": str(n), "messages": [{"role": "user", "content": prompt}], "completion": completion, "source": "",
            "evaluated": n < evaluated, "passages": [], "right": None,
        }
        for n, (prompt, completion) in enumerate(pairs)
    ]  # fmt: skip
    (job.path / "pairs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    files.write_json(job.path / "prepared.json", {"sha256": str(hash(tuple(pairs))), "samples": []})


def give_recipe(job: JobFolder, **changes: Any) -> None:
    """Another recipe in the spec of a run, whole, as `start_run` writes it."""
    spec = json.loads((job.path / "spec.json").read_text())
    spec["arguments"]["recipe"] = recipe.Recipe.model_validate({"dataset": "handbook", **changes}).model_dump(
        mode="json"
    )
    files.write_json(job.path / "spec.json", spec)


def test_tags_travel_with_the_run_and_narrow_the_list(workspace: Workspace, command: Command) -> None:
    write_run(workspace, "tone", "done")
    write_run(workspace, "facts", "failed", age=10)
    assert command("runs", "tag", "tone", "+good", "+grid:x", "-absent", "--json").lines == [
        {"run": "tone", "tags": ["good", "grid:x"]}
    ]
    command("runs", "tag", "tone", "-good", "+best")
    assert command("runs", "tag", "tone").out == "tone: grid:x, best\n"
    # A tag may begin like a short option.
    assert command("runs", "tag", "tone", "+wip", "+hot").out == "tone: grid:x, best, wip, hot\n"
    assert command("runs", "tag", "tone", "-wip", "-hot").out == "tone: grid:x, best\n"
    (workspace.runs / "tone").rename(workspace.runs / "moved")
    for options, found in (
        (["--tag", "best"], ["moved"]),
        (["--state", "failed"], ["facts"]),
        (["--method", "sft", "--dataset", "handbook"], ["moved", "facts"]),
        (["--method", "dpo"], []),
    ):
        assert [line["run"] for line in command("runs", "list", *options, "--json").lines] == found
    assert "None of the runs is like that" in command("runs", "list", "--tag", "nothing").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tag", "tone", "good"], "Write +good to add it"),
        (["tag", "tone", "+a b"], "is no tag"),
        (["tag", "none", "+a"], "there is no run 'none'"),
        (["compare", "tone"], "1 run cannot be compared"),
        (["compare", "tone", "tone"], "is named twice"),
        (["compare", "--tag", "none"], "0 runs cannot be compared"),
        (["clone", "tone", "--to", "../x"], "cannot name a recipe"),
        (["clone", "tone", "--to", "settings"], "configs/settings.yaml is no recipe"),
        (["delete", "tone", "live"], "live is running. Stop it first"),
    ],
)
def test_mistakes_are_one_clear_error(
    workspace: Workspace, command: Command, arguments: list[str], message: str
) -> None:
    write_run(workspace, "tone", "done")
    write_run(workspace, "live", "running")
    done = command("runs", *arguments)
    assert done.code == 1
    assert message in done.err
    assert "Traceback" not in done.err
    assert {path.name for path in workspace.runs.iterdir()} == {"tone", "live"}


def test_a_damaged_tag_file_is_no_tags(workspace: Workspace, command: Command) -> None:
    job = write_run(workspace, "tone", "done")
    for damage in ("", "[", "[1]", '{"tags": 3}', '{"tags": ["a"], "values": 3}'):
        (job.path / tags.FILE).write_text(damage)
        assert tags.read(job.path) == tags.Tagged()
    assert command("runs", "tag", "tone", "+good").out == "tone: good\n"


def test_runs_are_compared_in_figures_recipe_pairs_and_samples(workspace: Workspace, command: Command) -> None:
    first, second = write_run(workspace, "tone", "done"), write_run(workspace, "facts", "done", step=100)
    give_recipe(first)
    give_recipe(second, learning_rate=1e-3, lora={"r": 8})
    freeze(first, [("a", "1"), ("b", "2"), ("c", "3"), ("twice", "x"), ("twice", "y")], evaluated=1)
    freeze(second, [("b", "2"), ("a", "1"), ("c", "changed\x1b[2J"), ("twice", "y"), ("d", "4")], evaluated=2)
    result = command("runs", "compare", "tone", "facts", "--json").lines[0]
    figures = {run["run"]: run for run in result["runs"]}
    assert (figures["tone"]["step"], figures["facts"]["step"]) == (200, 100)
    evaluations = [event["eval_loss"] for event in runs.events(first) if "eval_loss" in event]
    assert figures["tone"]["eval_loss"] == evaluations[-1]
    assert figures["tone"]["best_eval_loss"] == min(evaluations)
    assert figures["tone"]["best_step"] == 50 * (1 + evaluations.index(min(evaluations)))
    assert figures["tone"]["tokens_per_second"] == 412.0
    assert (figures["facts"]["train_pairs"], figures["facts"]["eval_pairs"]) == (3, 2)
    assert {line["key"]: line["values"] for line in result["recipe"]} == {
        "learning_rate": [2e-4, 1e-3], "lora.r": [16, 8],
    }  # fmt: skip
    data = result["data"][1]
    assert {name: data[name] for name in ("same", "changed", "only_first", "only_second", "moved")} == {
        "same": 3, "changed": 1, "only_first": 1, "only_second": 1, "moved": 1,
    }  # fmt: skip
    assert data["examples"]["only_first"] == [{"prompt": "twice", "answer": "x", "other": None}]
    assert data["examples"]["changed"] == [{"prompt": "c", "answer": "3", "other": "changed\x1b[2J"}]
    sample = result["samples"][0]
    assert sample["reference"] == "Ahoy! It opens at ten."
    assert sample["answers"][0].startswith("Ahoy! Look")
    assert result["curves"][1]["loss"][-1][0] == 100

    told = command("runs", "compare", "tone", "facts").out
    for words in ("lora.r", "0.001", "3 the same, 1 with another answer", "~ c -> 3 => changed", "Ahoy! Look"):
        assert words in told
    assert "\x1b" not in told


def test_runs_that_learn_by_rewards_are_compared_by_them(workspace: Workspace) -> None:
    from sample_runs import append_events

    rewarded, other = write_run(workspace, "tone", "done"), write_run(workspace, "facts", "done")
    for step, reward in ((60, 1.5), (110, 1.25)):
        append_events(rewarded, [{"time": 1, "type": "metrics", "step": step, "eval_reward": reward}])
    append_events(rewarded, [{"time": 1, "type": "best", "step": 60, "eval_reward": 1.5}])
    by_reward, by_loss = compare([rewarded, other]).runs
    assert (by_reward.best_step, by_reward.best_eval_reward, by_reward.best_eval_loss) == (60, 1.5, None)
    assert by_loss.best_eval_reward is None
    assert by_loss.best_eval_loss is not None
    assert str(figure_cells(by_reward, compare([rewarded, other]))[2]) == "1.500"


def test_a_run_that_has_not_begun_has_no_pairs_to_compare(workspace: Workspace, command: Command) -> None:
    freeze(write_run(workspace, "tone", "done"), [("a", "1")])
    write_run(workspace, "next", "queued", step=0)
    assert command("runs", "compare", "tone", "next", "--json").lines[0]["data"] == [None, None]
    told = command("runs", "compare", "next", "tone").out
    assert "next: has not begun" in told
    assert "the very same" not in told


def test_a_run_that_was_resumed_is_compared_without_undone_steps(workspace: Workspace, command: Command) -> None:
    from sample_runs import append_events, curve

    for name in ("tone", "facts"):
        job = write_run(workspace, name, "done", step=70)
        append_events(job, [{"time": 1, "type": "resumed", "step": 50}, *curve(60, 200, start=51)])
    points = command("runs", "compare", "tone", "facts", "--json").lines[0]["curves"][0]["loss"]
    assert [step for step, _ in points] == list(range(1, 61))


def test_a_clone_trains_the_same(workspace: Workspace, command: Command) -> None:
    job = write_run(workspace, "tone", "done")
    said = {"learning_rate": 1e-5, "lora": {"r": 8}, "system_prompt": "Be: brief\n# no", "samples": {"prompts": ["#"]}}
    for changes in (
        said,
        {"method": "dpo"},
        {"method": "dpo", "dpo": {"beta": 0.2}},
        {"method": "grpo", "grpo": {"rewards": [{"function": "length", "max_words": 9}]}},
    ):
        give_recipe(job, **changes)
        text = command("runs", "clone", "tone").out
        path = workspace.root / "clone.yaml"
        path.write_text(text)
        again = recipe.load(path).model_dump(mode="json")
        assert again == {**job.spec["arguments"]["recipe"], "model_name_or_path": again["model_name_or_path"]}
    give_recipe(job, **said)
    text = command("runs", "clone", "tone").out
    assert "lora_alpha" not in text, "what is default is left out"
    assert command("runs", "clone", "tone", "--to", "again").code == 0
    assert (workspace.configs / "again.yaml").read_text() == text
    again = command("runs", "clone", "tone", "--to", "again")
    assert again.code == 1
    assert "there is a recipe 'again' already" in again.err


def test_a_clone_names_the_base_where_the_workspace_has_another_now(workspace: Workspace, command: Command) -> None:
    write_run(workspace, "tone", "done")
    assert "model_name_or_path" not in command("runs", "clone", "tone").out
    (workspace.configs / "settings.yaml").write_text("base_model: another/model\n")
    assert "model_name_or_path: smollm2-135m-instruct" in command("runs", "clone", "tone").out


def test_deleted_runs_are_gone_with_their_folders(workspace: Workspace, command: Command) -> None:
    for name in ("tone", "facts", "kept"):
        write_run(workspace, name, "done")
    assert command("runs", "delete", "tone", "facts", "--json").lines == [{"deleted": "tone"}, {"deleted": "facts"}]
    assert [path.name for path in workspace.runs.iterdir()] == ["kept"]


def test_a_deletion_that_was_killed_leaves_no_half_run(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    job, other = write_run(workspace, "tone", "done"), write_run(workspace, "other", "done")
    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", killed)
        with pytest.raises(Killed):
            history.delete(job)
    assert [run.run for run in runs.runs(workspace)] == ["other"]
    history.delete(other)
    assert not list(workspace.runs.iterdir())


def test_a_grid_is_told_then_queued_and_compared(tuned: Workspace, command: Command) -> None:
    arguments = ["train", "quick", "--name", "sweep", "--grid", "lora.r=4,8", "--grid", "learning_rate=1e-4,2e-4"]
    plan = command(*arguments, "--plan", "--json").lines[0]
    assert (plan["grid"], plan["runs"], plan["steps"]) == ("grid:sweep", 4, 32)
    assert not list(tuned.runs.iterdir())
    with queue.heavy_turn(lambda: None, lambda ahead: None):  # so that all of them wait
        done = command(*arguments)
        assert done.code == 0, done.err
        assert "4 runs of about 8 steps each, about 32 steps in all" in done.out.splitlines()[0]
        jobs = [runs.find(tuned, f"sweep-{n}") for n in range(1, 5)]
        values = [(job.spec["arguments"]["recipe"]["lora"]["r"], job.spec["arguments"]["recipe"]["learning_rate"])
                  for job in jobs]  # fmt: skip
        assert values == [(4, 1e-4), (4, 2e-4), (8, 1e-4), (8, 2e-4)]
        assert tags.read(jobs[1].path) == tags.Tagged(("grid:sweep",), {"lora.r": 4, "learning_rate": 2e-4})
        result = command("runs", "compare", "--tag", "grid:sweep", "--json").lines[0]
        assert [run["run"] for run in result["runs"]] == [f"sweep-{n}" for n in range(1, 5)]
        assert {line["key"]: line["values"] for line in result["recipe"]} == {
            "lora.r": [4, 4, 8, 8], "learning_rate": [1e-4, 2e-4, 1e-4, 2e-4],
        }  # fmt: skip
        again = command(*arguments)
        assert again.code == 1
        assert "there is a run 'sweep-1' already" in again.err
        until(lambda: sorted(waiting()) == [f"sweep-{n}" for n in range(1, 5)])
        first = waiting()[0]
        last = waiting()[-1]
        moved = command("jobs", "move", last, "--first", "--json").lines
        assert [line["job"] for line in moved[:3]] == ["another program", last, first]
        for job in jobs:
            control.stop(job)
        for job in jobs:
            for _ in follow(job):
                pass


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--grid", "lora.r=1,2,3,4,5", "--grid", "seed=1,2,3,4,5"], "25 combinations are too many"),
        (["--grid", "lora.rr=1,2"], "did you mean 'r'"),
        (["--grid", "lora.r=8,many"], "valid integer"),
        (["--grid", "lora.r"], "is not KEY=VALUE,VALUE"),
        (["--grid", "lora.r=8,8"], "the value 8 twice"),
        (["--grid", "lora.r=8", "--grid", "lora.r=4"], "varied twice"),
        (["--grid", "seed=1,2", "--set", "seed=3"], "both set and varied"),
        (["--grid", "seed=1,2", "--follow"], "Leave --follow out"),
        (["--plan"], "Give --grid too"),
    ],
)
def test_a_grid_with_a_mistake_starts_nothing(
    tuned: Workspace, command: Command, options: list[str], message: str
) -> None:
    done = command("train", "quick", "--name", "sweep", *options)
    assert done.code == 1
    assert message in done.err
    assert "Traceback" not in done.err
    assert not list(tuned.runs.iterdir())


def test_commas_inside_brackets_and_quotes_belong_to_a_value() -> None:
    from workbench.training.grid import parse

    assert parse(["lora.target_modules=all-linear,[q_proj, v_proj]", 'dataset="a,b", it\'s', "bf16=true,false"]) == {
        "lora.target_modules": ["all-linear", ["q_proj", "v_proj"]],
        "dataset": ["a,b", "it's"],
        "bf16": [True, False],
    }


def test_the_pairs_of_large_runs_are_compared_as_a_stream(workspace: Workspace) -> None:
    import tracemalloc

    from workbench.training import run_data

    first, second, count = write_run(workspace, "tone", "done"), write_run(workspace, "facts", "done"), 10_000
    freeze(first, [(f"question {n}", f"answer {n} " * 400) for n in range(count)])
    freeze(second, [(f"question {n}", f"answer {n + (n == 7)} " * 400) for n in range(1, count + 1)])
    tracemalloc.start()
    data = run_data.difference(run_data.digests(first.path), run_data.digests(second.path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (data.same, data.changed, data.only_first, data.only_second) == (count - 2, 1, 1, 1)
    assert peak < (first.path / "pairs.jsonl").stat().st_size / 2, "the texts are not held"
