"""What an editor shows in place of control characters, and the last guard before the terminal."""

from __future__ import annotations

import pytest
from rich.segment import Segment
from rich.style import Style
from textual.color import Color

from screens.harmless import Harmless
from screens.stand_ins import StandIns
from workbench.text import for_terminal

TEXTS = [
    "plain\ntext\n",
    "a\r\nb\r\n",
    "a\r\nmixed\nlines\r",
    "\x1b[31m ␛ already there",
    "\u202e\u202d\x0c\x85\u2028 \ufffd \ue000",
    "",
]


@pytest.mark.parametrize("text", TEXTS)
def test_nothing_is_lost_and_nothing_unsafe_is_shown(text: str) -> None:
    stand_ins = StandIns(text)
    assert for_terminal(stand_ins.shown) == stand_ins.shown
    assert "\r" not in stand_ins.shown
    assert stand_ins.restored(stand_ins.shown) == text
    assert stand_ins.restored("new " + stand_ins.shown) == "new " + text


def test_lines_of_an_editor_are_the_lines_of_the_text() -> None:
    shown = StandIns("one\x0cstill one\u2028and\x85and\x1d\ntwo\n").shown
    assert len(shown.splitlines()) == 2


def test_control_characters_are_left_out_where_they_have_no_width_and_styles_stay() -> None:
    style = Style(bold=True)
    segments = [Segment("a\x1b]0;x\x07b\u202e", style), Segment("fine", style)]
    done = Harmless().apply(segments, Color.parse("black"))
    assert [segment.text for segment in done] == ["a]0;xb", "fine"]
    assert all(segment.style is style for segment in done)
    assert Harmless().apply(segments[1:], Color.parse("black")) is not None
