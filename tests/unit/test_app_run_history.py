"""A run's events as curves, samples, flags and log lines."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest
from sample_runs import START, append_events, curve, write_run

from screens.run_history import RunHistory
from screens.run_reader import RunReader
from screens.run_series import FACTORS, MOST, Series
from workbench.jobs.folder import JobFolder
from workbench.workspace import Workspace


def series_of(values: list[float]) -> Series:
    series = Series()
    for step, value in enumerate(values, 1):
        series.add(step, step * 0.5, value)
    return series


def test_curves_samples_and_log_come_from_the_events() -> None:
    history = RunHistory()
    history.feed(curve(100, 200))
    assert list(history.series["loss"].steps) == list(range(1, 101))
    assert [step for step, _ in history.series["eval_loss"]] == [50, 100]
    for name in ("learning_rate", "grad_norm", "tokens_per_second", "memory_bytes", "cpu"):
        assert len(history.series[name]) == 100, name
    assert history.series["loss"].seconds[10] == pytest.approx(4.0)
    assert history.sample_steps == [50, 100]
    answers = history.samples["When does the museum open?"]
    assert answers[100].startswith("Ahoy!")
    assert history.references["When does the museum open?"] == "Ahoy! It opens at ten."
    assert sum("checkpoint" in line for line in history.log()) == 2


def test_smoothing_is_the_moving_average_with_bias_correction() -> None:
    """As TensorBoard writes it: m = f m + (1 - f) v, divided by 1 - f to the number of points."""
    values = [random.Random(n).uniform(0.5, 3) for n in range(300)]
    series = series_of(values)
    for factor in FACTORS[1:]:
        moving, expected = 0.0, []
        for count, value in enumerate(values, 1):
            moving = factor * moving + (1 - factor) * value
            expected.append(moving / (1 - factor**count))
        assert list(series.smoothed(factor)) == pytest.approx(expected, rel=1e-9)
    assert series.smoothed(0.0) is series.values


def test_smoothing_goes_on_where_a_resumed_run_does() -> None:
    values = [math.sin(n) for n in range(200)]
    resumed = series_of([*values[:120], 99.0, -99.0])
    resumed.forget_after(120)
    for step, value in enumerate(values[120:], 121):
        resumed.add(step, step * 0.5, value)
    for factor in FACTORS:
        assert list(resumed.smoothed(factor)) == pytest.approx(list(series_of(values).smoothed(factor)))


def test_a_run_of_any_length_takes_bounded_memory_and_keeps_its_peaks() -> None:
    values = [0.5 + 0.001 * (n % 7) for n in range(50_000)]
    values[4321], values[43_210] = 99.0, -99.0
    series = series_of(values)
    assert len(series) <= MOST
    assert max(series.values) == 99.0
    assert min(series.values) == -99.0
    assert list(series.steps) == sorted(series.steps)
    assert series[-1] == (50_000, values[-1])
    smoothed = 0.5 + 0.003
    assert series.smoothed(0.98)[-1] == pytest.approx(smoothed, abs=0.002), "of all points, not of the peaks kept"


def test_steps_done_again_after_a_resume_count_once() -> None:
    history = RunHistory()
    history.feed(
        [
            *curve(70, 200),
            {"type": "best", "step": 60, "eval_loss": 0.1},
            {"type": "overfitting", "step": 65, "best_step": 60},
            {"type": "learning_rate", "step": 66, "before": 2e-4, "after": 1e-4},
            {"type": "early_stop", "step": 70, "best_step": 60},
            {"type": "resumed", "step": 50, "time": START + 500},
        ]
    )
    assert history.series["loss"][-1][0] == 50
    assert history.best == history.series["eval_loss"][-1]
    assert history.overfitting is None
    assert history.stopped_early is None
    assert history.rate_changes == []
    history.feed(curve(80, 200, start=51))
    assert [step for step, _ in history.series["loss"]] == list(range(1, 81))


def test_time_leaves_out_what_a_run_waited() -> None:
    def step(number: int, time: float) -> dict[str, object]:
        return {"type": "metrics", "step": number, "time": START + time, "loss": 1.0}

    history = RunHistory()
    history.feed(
        [
            step(1, 0),
            step(2, 10),
            {"type": "paused", "step": 2, "time": START + 12},
            {"type": "continued", "step": 2, "time": START + 112},
            step(3, 120),
            step(4, 130),
            {"type": "resumed", "step": 3, "time": START + 9000},
            step(4, 9010),
        ]
    )
    assert list(history.series["loss"].seconds) == [0, 10, 20, 30]


def test_flags_are_kept_and_a_new_best_takes_overfitting_back() -> None:
    history = RunHistory()
    history.feed(
        [
            {"type": "metrics", "step": 10, "eval_loss": 1.0},
            {"type": "best", "step": 10, "eval_loss": 1.0},
            {"type": "overfitting", "step": 30, "best_step": 10},
        ]
    )
    assert history.best == (10, 1.0)
    assert history.overfitting == (30, 10)
    history.feed([{"type": "best", "step": 40, "eval_loss": 0.9}])
    assert history.overfitting is None
    history.feed([{"type": "early_stop", "step": 60, "best_step": 40}])
    assert history.stopped_early == (60, 40)


def test_the_best_is_the_one_that_was_told_by_whatever_figure() -> None:
    """A method that learns by rewards is judged by them, though it has an eval loss too."""
    history = RunHistory()
    evaluations = [(10, 0.5, 1.0), (20, 0.9, 2.0), (30, 0.1, 1.5)]
    best = {10, 20}
    for step, loss, reward in evaluations:
        history.feed([{"type": "metrics", "step": step, "eval_loss": loss, "eval_reward": reward}])
        if step in best:
            history.feed([{"type": "best", "step": step, "eval_reward": reward}])
    assert (history.best, history.best_of) == ((20, 2.0), "eval_reward")
    assert "step 20: eval reward 2.0000, the highest so far" in history.log()[-2]
    history.feed([{"type": "resumed", "step": 15, "time": START}])
    assert (history.best, history.best_of) == ((10, 1.0), "eval_reward")


def test_without_a_best_that_was_told_it_is_the_lowest_eval_loss() -> None:
    history = RunHistory()
    history.feed(
        [{"type": "metrics", "step": step, "eval_loss": loss} for step, loss in ((1, 3.0), (2, 1.0), (3, 2.0))]
    )
    assert (history.best, history.best_of) == ((2, 1.0), "eval_loss")
    history.feed([{"type": "resumed", "step": 1, "time": START}])
    assert history.best == (1, 3.0)


def test_every_event_is_a_line_of_the_log() -> None:
    history = RunHistory()
    history.feed(
        [
            {"type": "preflight", "pairs": 420, "steps": 200, "peak_memory_bytes": 2.1e9, "seconds": 130},
            {"type": "overfitting", "step": 30, "best_step": 10},
            {"type": "early_stop", "step": 60, "best_step": 40},
            {"type": "learning_rate", "step": 66, "before": 2e-4, "after": 1e-4},
            {"type": "paused", "step": 67},
            {"type": "continued", "step": 67},
            {"type": "checkpoint", "step": 68, "why": "asked"},
            {
                "type": "preflight_check",
                "expected": {"seconds": 130, "peak_memory_bytes": 2.1e9},
                "actual": {"seconds": 150, "peak_memory_bytes": 2.4e9},
            },
        ]
    )
    assert [line.strip() for line in history.log()] == [
        "before the first step: 420 pairs, 200 steps, about 2.1 GB, about 2 min 10 s",
        "warning: step 30: eval loss rises while the training loss falls; step 10 was the best",
        "step 60: stops early, it got no better than at step 40",
        "step 66: learning rate changed from 2.00e-04 to 1.00e-04",
        "step 67: paused",
        "step 67: goes on after the pause",
        "step 68: checkpoint saved, as you asked",
        "expected time 2 min 10 s, came to 2 min 30 s; memory 2.1 GB, came to 2.4 GB",
    ]
    assert history.log(after=history.told_ever) == []
    assert len(history.log(after=history.told_ever - 2)) == 2


def test_hostile_events_are_shown_harmless_or_passed_over() -> None:
    history = RunHistory()
    history.feed(
        [
            {"type": "message", "text": "a\x1b]52;c;aGk=\x07\nb", "level": "warning"},
            {"type": "metrics", "step": "many", "loss": 1.0},
            {"type": "metrics", "step": 1, "loss": "nan"},
            {"type": "metrics", "step": 1, "loss": math.nan},
            {"type": "metrics", "step": 1, "loss": 10**400, "eval_loss": math.inf},
            {"type": "metrics", "step": math.nan, "loss": 1.0},
            {"type": "metrics", "step": 1, "time": "late", **{f"figure{n}": 1.0 for n in range(1000)}},
            {"type": "sample", "step": 1, "prompt": "p\x1b[2J", "answer": "\u202eevil"},
            {"type": "preflight_check", "expected": 3, "actual": {"seconds": "long"}},
            {"type": "best", "step": 1, "eval_loss": None},
            {"type": "of the future"},
            {"nothing": 1},
        ]
    )
    assert not any(character in line for line in history.log() for character in "\x1b\x07\n")
    assert not history.series["loss"]
    assert not history.series["eval_loss"]
    assert len(history.series) < 100
    assert history.best is None
    assert "\x1b" not in "".join(history.samples)
    assert "\u202e" not in "".join(answer for answers in history.samples.values() for answer in answers.values())


def test_reader_reads_only_what_is_new_and_waits_for_whole_lines(workspace: Workspace) -> None:
    job = write_run(workspace, "tone", "running", step=10)
    job.log.write_bytes(b"loading\rloaded\n\x1b[31mwarning\n")
    reader = RunReader(job)
    assert reader.unread == job.events.stat().st_size
    history = reader.first()
    assert len(history.series["loss"]) == 10
    assert [line.strip() for line in history.log()][-2:] == ["loaded", "\u241b[31mwarning"]
    assert reader.news() == ([], [])
    assert reader.unread == 0
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
    assert RunReader(JobFolder(tmp_path / "gone")).first().told_ever == 0
