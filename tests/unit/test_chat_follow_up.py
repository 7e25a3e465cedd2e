"""Which follow-ups may be answered from what the question before them found."""

from __future__ import annotations

import pytest

from workbench.chat.engine import speaks_of

MUSEUM = ["The museum is open from 10 to 17. On Sundays it opens at noon; children enter free."]


@pytest.mark.parametrize("question", ["And on Sundays?", "and for children?", "Why?", "What about the museum?"])
def test_a_follow_up_is_about_the_same(question: str) -> None:
    assert speaks_of(question, MUSEUM)


@pytest.mark.parametrize("question", ["How do I make ratatouille?", "Who won the football match?"])
def test_another_question_is_not(question: str) -> None:
    assert not speaks_of(question, MUSEUM)


def test_nothing_found_is_nothing() -> None:
    assert not speaks_of("Why?", [])
