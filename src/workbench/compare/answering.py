"""Asking one arm one question: its prompt, its answer, the scores of it. It knows nothing of jobs and stores."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from workbench.chat.answer import Answer, Citation
from workbench.chat.answer import Question as Asked
from workbench.chat.client import Client, collect
from workbench.chat.engine import Engine
from workbench.compare import metrics, ranking
from workbench.compare.energy import Meter
from workbench.compare.question import Question
from workbench.compare.spec import Arm, Spec
from workbench.compare.store import Answered
from workbench.errors import UserError
from workbench.library.grounding import Passage
from workbench.workspace import Workspace

if TYPE_CHECKING:
    from workbench.library.search import Hit

DEPTH = 20
"""How far down the ranking a known place is looked for: beyond what any model here is shown."""


class Answerer:
    """Answers questions with the arms of a comparison; local weights are loaded once."""

    def __init__(self, workspace: Workspace, spec: Spec) -> None:
        self._spec = spec
        self._engine = Engine(workspace)
        self._meter = Meter.find()
        self._clients: dict[str, Client] = {}

    @property
    def energy(self) -> str | None:
        """What tells the energy here; None where nothing does."""
        return self._meter.name if self._meter else None

    def close(self) -> None:
        """Let go of connections."""
        for client in self._clients.values():
            client.close()

    def load(self) -> None:
        """Have the weights of all local arms ready, so that no answer's time holds their loading."""
        for arm in self._spec.arms:
            if not arm.url:
                self._engine.load(arm.hybrid)

    def hits(self, question: Question) -> list[Hit]:
        """What the index holds for a question, `DEPTH` deep; nothing where no index is measured."""
        if not self._spec.index:
            return []
        return self._engine.search(self._spec.index, question.text, max(DEPTH, self._spec.top_k), "fused")

    def right_passage(self, question: Question, hits: Sequence[Hit]) -> Passage | None:
        """What the oracle is given; None where the place is not known."""
        return ranking.right_passage(question, hits)

    def ask(
        self,
        number: int,
        question: Question,
        arm: Arm,
        passages: tuple[Passage, ...] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Answered | None:
        """One answer with its scores; one that could not be given (a question too long for the model) has the reason
        in its figures and no scores.

        Args:
            number: of the question.
            question: what is asked.
            arm: of whom.
            passages: given instead of what retrieval finds.
            cancelled: asked at every token.

        Returns:
            The answer, or None if it was cancelled.

        Raises:
            UserError: a remote server does not answer.
        """
        joules = self._meter.joules() if self._meter else None
        begun = time.perf_counter()
        try:
            answer = self._remote(question, arm) if arm.url else self._local(number, question, arm, passages, cancelled)
        except UserError as error:
            if arm.url:
                raise
            return Answered(number, arm.name, "", figures={"error": str(error)})
        if answer is None:
            return None
        seconds = time.perf_counter() - begun
        used = self._meter.joules() - joules if self._meter and joules is not None else None
        return self._answered(number, question, arm, answer, seconds, used)

    def plainly(self, question: str, passages: Sequence[Passage]) -> str:
        """The fullest arm's answer to a question with these passages, not scored."""
        arm = next(arm for arm in reversed(self._spec.arms) if not arm.url and "+rag:" in arm.hybrid)
        asked = Question(messages=({"role": "user", "content": question},))
        answer = self._local(0, asked, arm, tuple(passages), lambda: False)
        return answer.text if answer else ""

    def _local(
        self,
        number: int,
        question: Question,
        arm: Arm,
        passages: tuple[Passage, ...] | None,
        cancelled: Callable[[], bool],
    ) -> Answer | None:
        spec = self._spec
        asked = Asked(
            arm.hybrid,
            self._messages(question),
            max_tokens=spec.max_new_tokens,
            temperature=spec.temperature,
            seed=self._seed(number, arm),
            top_k=spec.top_k,
            passages=passages,
        )
        deltas = list(self._engine.answer(asked, cancelled))
        return None if cancelled() and (not deltas or deltas[-1].figures is None) else collect(deltas)

    def _remote(self, question: Question, arm: Arm) -> Answer:
        if arm.url not in self._clients:
            self._clients[arm.url] = Client(arm.url, os.environ.get("OPENAI_API_KEY"))
        spec = self._spec
        options = {"max_tokens": spec.max_new_tokens, "temperature": spec.temperature}
        return self._clients[arm.url].answer(self._messages(question), arm.hybrid, **options)

    def _messages(self, question: Question) -> tuple[dict[str, str], ...]:
        """Every arm is told the same: an adapter's system prompt would else stand in two arms of the four only."""
        if question.messages[0]["role"] == "system" or not self._spec.system_prompt:
            return question.messages
        return ({"role": "system", "content": self._spec.system_prompt}, *question.messages)

    def _seed(self, number: int, arm: Arm) -> int:
        """Another one for every question, the same for all arms but the one that asks again."""
        return (self._spec.seed * 1_000_003 + 2 * number + bool(arm.repeats)) % 2**63

    def _answered(
        self, number: int, question: Question, arm: Arm, answer: Answer, seconds: float, joules: float | None
    ) -> Answered:
        text = answer.text.strip()
        grounded = "+rag:" in arm.hybrid or arm.oracle
        scores = metrics.score(
            question,
            text,
            [citation.text for citation in answer.citations] if grounded else None,
            refusals=self._spec.refusals,
            not_in_library=answer.not_in_library,
        )
        told = answer.figures
        scores |= {
            "seconds": seconds,
            "seconds_to_first_token": told.seconds_to_first_token,
            "prompt_tokens": told.prompt_tokens or None,
            "completion_tokens": told.completion_tokens or None,
            "joules": joules,
        }
        figures: dict[str, Any] = {
            "finish_reason": told.finish_reason,
            "tokens_per_second": told.tokens_per_second,
            "not_in_library": answer.not_in_library,
            "cut": asdict(answer.cut) if answer.cut else None,
        }
        return Answered(number, arm.name, text, tuple(_light(each) for each in answer.citations), figures, scores)


def _light(citation: Citation) -> dict[str, Any]:
    return {name: value for name, value in asdict(citation).items() if value is not None}
