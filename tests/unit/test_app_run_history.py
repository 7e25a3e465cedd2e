"""A run's events as curves, samples and log lines."""

from __future__ import annotations

import json
from pathlib import Path

from sample_runs import append_events, curve, write_run

from screens.run_history import RunHistory, RunReader, thin
from workbench.workspace import Workspace


def test_curves_samples_and_log_come_from_the_events() -> None:
    history = RunHistory()
    history.feed(curve(100, 200))
    assert [step for step, _ in history.series["loss"]] == list(range(1, 101))
    assert [step for step, _ in history.series["eval_loss"]] == [50, 100]
    assert history.sample_steps == [50, 100]
    answers = history.samples["When does the museum open?"]
    assert answers[100].startswith("Ahoy!")
    assert history.references["When does the museum open?"] == "Ahoy! It opens at ten."
    assert sum("checkpoint" in line for line in history.log) == 2


def test_steps_done_again_after_a_resume_count_once() -> None:
    history = RunHistory()
    history.feed([*curve(70, 200), {"type": "resumed", "step": 50}])
    assert history.series["loss"][-1][0] == 50
    history.feed(curve(80, 200, start=51))
    assert [step for step, _ in history.series["loss"]] == list(range(1, 81))


def test_hostile_events_are_shown_harmless_or_passed_over() -> None:
    history = RunHistory()
    history.feed(
        [
            {"type": "message", "text": "a\x1b]52;c;aGk=\x07\nb", "level": "warning"},
            {"type": "metrics", "step": "many", "loss": 1.0},
            {"type": "metrics", "step": 1, "loss": "nan"},
            {"type": "sample", "step": 1, "prompt": "p\x1b[2J", "answer": "\u202eevil"},
            {"type": "of the future"},
            {"nothing": 1},
        ]
    )
    assert not any(character in line for line in history.log for character in "\x1b\x07\n")
    assert history.series["loss"] == []
    assert "\x1b" not in "".join(history.samples)
    assert "\u202e" not in "".join(answer for answers in history.samples.values() for answer in answers.values())


def test_thinning_keeps_the_peaks() -> None:
    points = [(float(n), 0.0) for n in range(10_000)]
    points[4321] = (4321.0, 99.0)
    drawn = thin(points, 200)
    assert len(drawn) <= 220
    assert (4321.0, 99.0) in drawn
    assert drawn == sorted(drawn)
    assert thin(points[:50], 200) == points[:50]


def test_reader_reads_only_what_is_new_and_waits_for_whole_lines(workspace: Workspace) -> None:
    job = write_run(workspace, "tone", "running", step=10)
    job.log.write_bytes(b"loading\rloaded\n\x1b[31mwarning\n")
    reader = RunReader(job)
    history = reader.first()
    assert len(history.series["loss"]) == 10
    assert [line.strip() for line in history.log][-2:] == ["loaded", "\u241b[31mwarning"]
    assert reader.news() == ([], [])
    half = json.dumps({"type": "metrics", "step": 11, "loss": 0.5})
    with job.events.open("a", encoding="utf-8") as file:
        file.write(half[:20])
    assert reader.news() == ([], [])
    with job.events.open("a", encoding="utf-8") as file:
        file.write(half[20:] + "\n")
    append_events(job, [{"type": "metrics", "step": 12, "loss": 0.4}])
    reader.feed(history, *reader.news())
    assert [step for step, _ in history.series["loss"]][-2:] == [11, 12]


def test_reader_of_a_run_without_files_reads_nothing(tmp_path: Path) -> None:
    from workbench.jobs.folder import JobFolder

    assert RunReader(JobFolder(tmp_path / "gone")).first().lines_ever == 0
