"""Axes with round values, and curves as braille characters."""

from __future__ import annotations

import math

import pytest
from sample_runs import curve

from screens.run_history import RunHistory
from screens.widgets import axis, chart_choice
from screens.widgets.axis import Axis
from screens.widgets.chart_choice import KINDS, Look
from screens.widgets.plotting import Curve, Mark, Plot, paint


def text_of(plot: Plot, width: int = 60, height: int = 16) -> list[str]:
    lines = paint(plot, width, height)
    assert all(sum(len(text) for text, _ in line) == width for line in lines)
    assert len(lines) == height
    return ["".join(text for text, _ in line) for line in lines]


def colors_of(plot: Plot) -> set[str]:
    return {color for line in paint(plot, 60, 16) for _, color in line}


def long_run(steps: int = 400) -> RunHistory:
    history = RunHistory()
    history.feed(curve(steps, steps))
    return history


@pytest.mark.parametrize(
    ("low", "high"), [(0.8, 3.2), (0.0, 2e-4), (5.0, 5.0), (0.0, 0.0), (-3.0, 7.0), (1e6, 1.2e9), (-2.0, -2.0)]
)
def test_a_linear_axis_holds_all_values_between_round_ticks(low: float, high: float) -> None:
    made = axis.linear(low, high, 5)
    assert made.low <= low <= high <= made.high
    assert made.low < made.high
    assert 2 <= len(made.ticks) <= 6
    assert made.low <= made.ticks[0] < made.ticks[-1] <= made.high + 1e-9 * abs(made.high)
    assert low == high or made.high - made.low < 1.5 * (high - low), "little more than what it holds"


@pytest.mark.parametrize(("low", "high"), [(1e-6, 2e-4), (0.8, 3.2), (0.9, 1.0), (5.0, 5.0), (1.0, 1e9)])
def test_a_log_axis_holds_all_values(low: float, high: float) -> None:
    made = axis.logarithmic(low, high, 5)
    assert 0 < made.low <= low
    assert high <= made.high
    assert made.place(made.low) == 0
    assert math.isclose(made.place(made.high), 1)
    assert made.ticks
    assert made.place(0) == -math.inf


def test_ticks_are_written_so_that_they_differ() -> None:
    for ticks in ((0.0, 0.5, 1.0), (0.98, 0.985, 0.99), (0.0, 5e-5, 1e-4), (1e9, 2e9), (0.0, 2000.0), (1e-5, 1.5e-5)):
        say = axis.say_with(ticks)
        assert len({say(tick) for tick in ticks}) == len(ticks), ticks


def test_a_line_goes_from_corner_to_corner() -> None:
    plot = Plot(Axis(0, 10, (0, 10)), Axis(0, 1, (0, 1)), [Curve([0, 10], [0, 1], "primary")], unit="steps")
    lines = text_of(plot, 43, 12)
    drawn = [[at for at, character in enumerate(line) if "\u2800" < character <= "\u28ff"] for line in lines[:10]]
    assert all(drawn), "no row is left out"
    assert drawn[0][-1] == 42
    assert drawn[-1][0] == 3
    assert [row[0] for row in drawn] == sorted((row[0] for row in drawn), reverse=True)
    assert lines[-1].strip().endswith("steps")


def test_a_peak_between_two_columns_is_drawn() -> None:
    ys = [0.0] * 5000
    ys[2500] = 1.0
    plot = Plot(Axis(0, 5000, (0,)), Axis(0, 1, (0, 1)), [Curve(range(5000), ys, "primary")])
    assert any(character > "\u2800" for character in text_of(plot)[0][5:])


def test_what_is_drawn_later_covers_and_marks_stand_behind() -> None:
    flat = [Curve([0, 10], [0.5, 0.5], "primary"), Curve([0, 10], [0.5, 0.5], "accent")]
    plot = Plot(Axis(0, 10, (0, 10)), Axis(0, 1, (0, 1)), flat, [Mark(5, "best 5", "success")])
    assert colors_of(plot) >= {"accent", "success"}
    assert "primary" not in colors_of(plot)
    assert "best 5" in text_of(plot)[0]


def test_a_mark_at_the_right_edge_has_its_label_to_the_left() -> None:
    plot = Plot(
        Axis(0, 10, (0, 10)), Axis(0, 1, (0, 1)), [], [Mark(10, "best 10", "accent"), Mark(9.9, "late", "error")]
    )
    first, second, *_ = text_of(plot)
    assert "best 10 ┊" in first
    assert "late " in second, "labels do not cover each other"


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (12, 4), (300, 80)])
def test_any_size_is_drawn(size: tuple[int, int]) -> None:
    history = long_run()
    plot = chart_choice.plot(KINDS[0], history, {}, Look(), *size)
    assert plot is not None
    text_of(plot, *size)


def test_the_window_follows_the_newest_step_until_it_is_moved() -> None:
    history, kind = long_run(), KINDS[0]
    assert Look().window(history, kind) == (0, 400)
    closer = Look().zoomed(1, history, kind).zoomed(1, history, kind)
    assert closer.window(history, kind) == (300, 400)
    before = closer.moved(-0.5, history, kind)
    assert before.window(history, kind) == (250, 350)
    history.feed(curve(480, 480, start=401))
    assert before.window(history, kind) == (250, 350), "it stays where the reader looks"
    assert closer.window(history, kind)[1] >= 480
    assert before.moved(9, history, kind).held is None
    first = before.moved(-9, history, kind).window(history, kind)
    assert first[0] == 0
    assert before.zoomed(-1, history, kind).zoomed(-1, history, kind).window(history, kind)[0] == 0


def test_each_look_draws_something_else() -> None:
    history, kind = long_run(), KINDS[0]
    looks = [Look(), Look(log=True), Look(by_time=True), Look(factor=0.0), Look(zoom=2)]
    pictures = set()
    for look in looks:
        plot = chart_choice.plot(kind, history, {}, look, 60, 16)
        assert plot is not None
        pictures.add("\n".join(text_of(plot)))
    assert len(pictures) == len(looks)


def test_charts_are_those_of_the_method() -> None:
    history = long_run(10)
    assert [kind.title for kind in chart_choice.kinds_of(history)] == [
        "Loss", "Rate", "Gradient", "Speed", "Memory", "Load",
    ]  # fmt: skip
    history.feed([{"type": "metrics", "step": 11, "rewards/margins": -0.2, "rewards/accuracies": 0.6}])
    assert [kind.title for kind in chart_choice.kinds_of(history)][-2:] == ["Margin", "Right"]
    kind = chart_choice.kinds_of(history)[-2]
    plot = chart_choice.plot(kind, history, {}, Look(log=True), 60, 16)
    assert plot is not None
    assert not plot.y.log, "values below 0 have no logarithm"


def test_other_runs_are_drawn_in_their_own_colors() -> None:
    history, other = long_run(), RunHistory()
    other.feed([{"type": "metrics", "step": step, "loss": 4.0 - step / 200} for step in range(1, 300)])
    plot = chart_choice.plot(KINDS[0], history, {"other": other}, Look(), 60, 16)
    assert plot is not None
    assert chart_choice.OTHERS[0] in colors_of(plot)
    assert plot.y.high >= 4.0
