"""Asking one hybrid, or a remote model, many things in a job. It knows nothing of pairs and passages."""

from __future__ import annotations

from collections.abc import Callable

from workbench.chat.answer import Answer, Question
from workbench.chat.client import collect
from workbench.chat.engine import Engine
from workbench.hybrid import Hybrid
from workbench.models.load import be_offline
from workbench.workspace import Workspace


class Asker:
    """The model of a job; its weights are loaded once."""

    def __init__(self, workspace: Workspace, hybrid: str, *, max_tokens: int | None, temperature: float) -> None:
        """Loads nothing yet.

        Args:
            workspace: whose runs, indexes and settings.
            hybrid: the model's name; its base may be a remote model of the settings.
            max_tokens: tokens at most in an answer; None: the setting.
            temperature: 0 is greedy.
        """
        self.hybrid = str(Hybrid.parse(hybrid))
        self._max_tokens, self._temperature = max_tokens, temperature
        self._engine = Engine(workspace)

    def load(self) -> None:
        """Have the weights ready.

        Raises:
            UserError: there is no such hybrid here, or something of it is damaged.
        """
        be_offline()
        self._engine.load(self.hybrid)

    def ask(
        self,
        messages: tuple[dict[str, str], ...],
        cancelled: Callable[[], bool],
        *,
        seed: int | None = None,
        system: str | None = None,
        alone: bool = False,
        stop: tuple[str, ...] = (),
    ) -> Answer | None:
        """One answer; None if it was cancelled.

        Args:
            messages: the chat; the last one is the user's.
            cancelled: asked at every token.
            seed: of sampling.
            system: see `workbench.chat.answer.Question`.
            alone: search no index, also where the hybrid has one.
            stop: texts that end the answer, and are not in it.

        Raises:
            TooLong, Refused: it does not take this question; another one it may.
            UserError: the model cannot be asked at all.
        """
        question = Question(
            self.hybrid,
            messages,
            max_tokens=self._max_tokens,
            temperature=self._temperature,
            seed=seed,
            system=system,
            stop=stop,
            passages=() if alone else None,
        )
        pieces = []
        for piece in self._engine.answer(question, cancelled):
            pieces.append(piece)
            if cancelled():
                return None
        return None if cancelled() else collect(pieces)
