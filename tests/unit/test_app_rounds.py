"""What a chat goes on with, of several answers to a question."""

from __future__ import annotations

from screens.conversation import Round, Turn


def asked(*answers: tuple[int, str, str]) -> Round:
    """A round with answers, each with its pane, state and text."""
    made = Round("Who?")
    for pane, state, text in answers:
        made.add(Turn("Who?", "base", text, state=state, pane=pane))
    return made


def test_a_chat_goes_on_with_a_whole_answer_in_the_order_of_the_panes() -> None:
    def text(made: Round, *panes: int) -> str | None:
        turn = made.goes_on(panes)
        return turn.answer if turn else None

    assert text(asked((0, "failed", ""), (1, "stopped", "half"), (2, "answered", "whole")), 0, 1, 2) == "whole"
    assert text(asked((0, "failed", ""), (1, "stopped", "half")), 0, 1) == "half"
    both = asked((0, "answered", "a"), (1, "answered", "b"))
    assert text(both, 1, 0) == "b", "the panes' order is not that of their ids"
    assert text(both, 1) == "b", "one that was taken away comes after those that are there"
    assert text(both, 7) == "a"
    both.all[0].better = True
    assert text(both, 1, 0) == "a"
    assert text(asked(), 0) is None
