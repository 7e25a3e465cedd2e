"""Which follow-ups may be answered from what the question before them found, and what a passage must reach."""

from __future__ import annotations

import pytest

from workbench.chat.engine import least_of, speaks_of
from workbench.settings import Settings

MUSEUM = ["The museum is open from 10 to 17. On Sundays it opens at noon; children enter free."]


@pytest.mark.parametrize("question", ["And on Sundays?", "and for children?", "Why?", "What about the museum?"])
def test_a_follow_up_is_about_the_same(question: str) -> None:
    assert speaks_of(question, MUSEUM)


@pytest.mark.parametrize("question", ["How do I make ratatouille?", "Who won the football match?"])
def test_another_question_is_not(question: str) -> None:
    assert not speaks_of(question, MUSEUM)


def test_nothing_found_is_nothing() -> None:
    assert not speaks_of("Why?", [])


def test_a_similarity_that_a_question_gives_is_what_decides() -> None:
    settings = Settings()
    assert least_of(None, None, settings) == (0.05, 0.25)
    assert least_of(None, 0.4, settings) == (0.0, 0.4)
    assert least_of(0.2, 0.4, settings) == (0.2, 0.4)
