"""Asking one arm one question: its prompt, its answer, the scores of it. It knows nothing of jobs and stores."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from workbench.chat.answer import Answer, Citation, Delta, Least, TooLong
from workbench.chat.answer import Question as Asked
from workbench.chat.client import Refused, collect
from workbench.chat.engine import Engine
from workbench.chat.remote import Remote, key_for
from workbench.compare import metrics, ranking
from workbench.compare.energy import Meter
from workbench.compare.question import Question
from workbench.compare.spec import MAIN, Arm, Spec
from workbench.compare.store import Answered
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
        self._remotes: dict[str, Remote] = {}

    @property
    def energy(self) -> str | None:
        """What tells the energy here; None where nothing does."""
        return self._meter.name if self._meter else None

    def close(self) -> None:
        """Let go of connections."""
        for remote in self._remotes.values():
            remote.close()

    def load(self) -> None:
        """Have the weights of all local arms ready, so that no answer's time holds their loading."""
        for arm in self._spec.arms:
            if not arm.url:
                self._engine.load(arm.hybrid)

    def hits(self, question: Question) -> list[Hit]:
        """What the index holds for a question, `DEPTH` deep; nothing where no index is measured.

        A follow-up is searched for with the words that the arms search with.
        """
        spec, searched = self._spec, question.text
        if not spec.index:
            return []
        if sum(turn["role"] == "user" for turn in question.messages) > 1:
            searched, _ = self._engine.retrieve(
                spec.index,
                question.messages,
                spec.top_k,
                Least(spec.pinned.get("min_fit", 0.0), spec.pinned.get("min_similarity", 0.0)),
            )
        return self._engine.search(spec.index, searched, max(DEPTH, spec.top_k), "fused")

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
        """One answer with its scores; where the question is too long for the model, or a remote server refuses it, the
        reason stands in the figures and there are no scores.

        Args:
            number: of the question.
            question: what is asked.
            arm: of whom.
            passages: given instead of what retrieval finds.
            cancelled: asked at every token.

        Returns:
            The answer, or None if it was cancelled.

        Raises:
            UserError: the weights, the index or a remote server cannot be used; asking again may help.
        """
        joules = self._meter.joules() if self._meter else None
        begun = time.perf_counter()
        try:
            if arm.url:
                answer = self._remote(question, arm, cancelled)
            else:
                answer = self._local(number, question, arm, passages, cancelled)
        except (TooLong, Refused) as error:
            return Answered(number, arm.name, "", figures={"error": str(error)})
        if answer is None:
            return None
        seconds = time.perf_counter() - begun
        used = self._meter.joules() - joules if self._meter and joules is not None else None
        return self._answered(number, question, arm, answer, seconds, used)

    def plainly(self, question: str, passages: Sequence[Passage]) -> str:
        """The fullest arm's answer to a question with these passages, not scored."""
        arm = next(arm for arm in reversed(self._spec.arms) if arm.name in MAIN and "+rag:" in arm.hybrid)
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
            question.messages,
            max_tokens=spec.max_new_tokens,
            temperature=spec.temperature,
            top_p=spec.pinned.get("top_p"),
            seed=self._seed(number, arm),
            top_k=spec.top_k,
            min_fit=spec.pinned.get("min_fit"),
            min_similarity=spec.pinned.get("min_similarity"),
            passages=passages,
            # Every arm is told the same: an adapter's own system prompt would else stand in two arms of the four only.
            system=spec.system_prompt,
            fresh=True,
        )
        return _whole(self._engine.answer(asked, cancelled), cancelled)

    def _remote(self, question: Question, arm: Arm, cancelled: Callable[[], bool]) -> Answer | None:
        if arm.name not in self._remotes:
            self._remotes[arm.name] = Remote(arm.url, arm.hybrid, key_for(arm.url))
        spec, messages = self._spec, question.messages
        if spec.system_prompt and messages[0]["role"] != "system":
            messages = ({"role": "system", "content": spec.system_prompt}, *messages)
        options = {
            "max_tokens": spec.max_new_tokens,
            "temperature": spec.temperature,
            "top_p": spec.pinned.get("top_p"),
        }
        return _whole(self._remotes[arm.name].chat(messages, cancelled, **options), cancelled)

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


def _whole(deltas: Iterable[Delta], cancelled: Callable[[], bool]) -> Answer | None:
    """The answer that comes piece by piece; None if it was cancelled before its end."""
    pieces: list[Delta] = []
    for piece in deltas:
        pieces.append(piece)
        if cancelled():
            break
    return None if cancelled() and (not pieces or pieces[-1].figures is None) else collect(pieces)


def _light(citation: Citation) -> dict[str, Any]:
    return {name: value for name, value in asdict(citation).items() if value is not None}
