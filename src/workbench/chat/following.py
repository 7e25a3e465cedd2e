"""The server keeps the indexes of its workspace in step with their folders, beside the answers and behind them.

In a thread of low priority; what is embedded is embedded in the retrieval's own thread, a few texts at a time, so that
a question waits for no more than those.
"""

from __future__ import annotations

import contextlib
import os
import threading
import traceback
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

from workbench.chat.retrieval import Retrieval
from workbench.errors import UserError
from workbench.library.store import FILE
from workbench.library.watch import Follower
from workbench.models.embed import Embedder
from workbench.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

_TEXTS = 4
"""Texts that are embedded between two questions."""
_NICE = 10
"""How much less of the processor the thread gets, where threads have a priority of their own (Linux)."""


class Following:
    """Follows every index of a workspace while its settings say so (`library.watch`)."""

    def __init__(self, workspace: Workspace, retrieval: Retrieval) -> None:
        self._workspace, self._retrieval = workspace, retrieval
        self._settings_read: tuple[object, bool] | None = None
        self._follower = Follower(workspace, self._names, self._embedder, jobs=True, updated=self._retrieval.refresh)

    def start(self) -> None:
        """Begin, in a thread that ends with the process."""
        threading.Thread(target=self._run, name="following", daemon=True).start()

    def stop(self) -> None:
        """Have it end soon."""
        self._follower.stop()

    def _run(self) -> None:
        with contextlib.suppress(AttributeError, OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        try:
            self._follower.run()
        except Exception:  # the answers go on
            traceback.print_exc()

    def _names(self) -> Iterator[str]:
        if not self._wanted():
            return iter(())
        return (path.parent.name for path in self._workspace.indexes.glob(f"*/{FILE}"))

    def _wanted(self) -> bool:
        """What the settings say now; a file that cannot be read says what it said before."""
        path = self._workspace.configs / "settings.yaml"
        try:
            stamp = path.stat().st_mtime_ns
        except OSError:
            stamp = None
        if self._settings_read is None or self._settings_read[0] != stamp:
            wanted = self._settings_read[1] if self._settings_read else True
            with contextlib.suppress(UserError):  # whoever asks something is told
                wanted = self._workspace.settings().library.watch
            self._settings_read = (stamp, wanted)
        return self._settings_read[1]

    def _embedder(self, model: str) -> Embedder:
        return cast("Embedder", _Shared(self._retrieval, model))


class _Shared:
    """The embedder that questions are embedded with, used in its own thread: a tokenizer is not for two at once."""

    def __init__(self, retrieval: Retrieval, model: str) -> None:
        self._retrieval, self._model = retrieval, model
        held = retrieval.embedder(model)
        self.name, self.fingerprint = held.name, held.fingerprint
        self.dimensions, self.max_tokens = held.dimensions, held.max_tokens
        self.passage_tokens = retrieval.compute(_passage_tokens, held)
        self._held = held

    def encode(self, texts: Sequence[str], *, batch_size: int = 8, query: bool = False) -> np.ndarray:
        """See `Embedder.encode`."""
        import numpy as np

        parts = [
            self._retrieval.compute(self._held.encode, texts[at : at + _TEXTS]) for at in range(0, len(texts), _TEXTS)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.dimensions), np.float32)

    def count_tokens(self, text: str) -> int:
        """See `Embedder.count_tokens`."""
        return self._retrieval.compute(self._held.count_tokens, text)


def _passage_tokens(embedder: Embedder) -> int:
    return embedder.passage_tokens
