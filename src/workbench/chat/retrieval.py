"""The server's indexes and embedding models, opened when they are asked for and kept."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from workbench.chat.answer import LONGEST_QUERY, UnknownModel
from workbench.errors import UserError
from workbench.library.filters import Filter
from workbench.library.index import Index, embedder_of
from workbench.library.ranking import Options
from workbench.models import local
from workbench.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

    from workbench.library.search import Hit
    from workbench.models.embed import Embedder
    from workbench.models.rerank import Reranker

Argument = TypeVar("Argument")
Result = TypeVar("Result")

_QUESTIONS = 256  # whose vectors are kept


class Retrieval:
    """Searches by name. Safe to use from several threads; what computes does so in one of its own, with one core:
    answers are generated beside it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._indexes: dict[str, Index] = {}
        self._embedders: dict[str, Embedder] = {}
        self._kept_reranker: tuple[str, Reranker] | None = None
        self._vectors: dict[tuple[str, str], np.ndarray] = {}  # of questions, the oldest first
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="retrieval", initializer=_compute_alone)

    def opened(self) -> list[str]:
        """The names of the indexes that are held open."""
        return sorted(self._indexes)

    def load(self, index: str) -> None:
        """Have an index and its embedding model ready; see `search` for the errors."""
        self._thread.submit(self._open, index).result()

    def search(self, index: str, query: str, k: int, mode: str = "fused", filter: Filter | None = None) -> list[Hit]:
        """The k passages of an index that answer a question best, best first.

        Args:
            index: its name.
            query: the question.
            k: how many at most.
            mode: that of `Index.search`, fused is ordered by the reranker of the settings where they name one.
            filter: the documents that are looked in.

        Raises:
            UnknownModel: there is no such index.
            UserError: it is damaged, or its embedding model is not on this machine or no longer the same; or the
                reranker is not on this machine or is none.
        """
        return self._thread.submit(self._search, index, query[:LONGEST_QUERY], k, mode, filter or Filter()).result()

    def embed(self, model: str, texts: Sequence[str]) -> tuple[np.ndarray, int]:
        """Vectors float32 [n, d] of length 1, and how many tokens the texts have.

        Raises:
            UnknownModel: there is no such embedding model.
        """
        return self._thread.submit(self._embed, model, texts).result()

    def embedder(self, model: str) -> Embedder:
        """An embedding model by its name, loaded; it is only to be used by `compute`.

        Raises:
            UnknownModel: there is no such embedding model.
        """
        return self._thread.submit(self._embedder, model).result()

    def compute(self, function: Callable[[Argument], Result], argument: Argument) -> Result:
        """Call a function in the thread that embeds, in its turn."""
        return self._thread.submit(function, argument).result()

    def refresh(self, index: str) -> None:
        """Open an index that is held open again, for it was updated, so that no question has to wait for that."""
        if index in self._indexes:
            self._thread.submit(self._refresh, index)

    def _refresh(self, name: str) -> None:
        with contextlib.suppress(UserError):  # told to who searches it
            len(self._index(name))

    def _search(self, name: str, query: str, k: int, mode: str, filter: Filter) -> list[Hit]:
        index = self._index(name)
        vector = None if mode == "lexical" else self._vector(index, query)
        reranker = self._reranker() if mode == "fused" else None
        options = Options(mode, filter, rerank=reranker.scores if reranker else None)
        return index.search(query, vector, k, options)

    def _reranker(self) -> Reranker | None:
        """The one that the settings name now."""
        name = self._workspace.settings().retrieval.reranker
        if not name:
            self._kept_reranker = None
        elif self._kept_reranker is None or self._kept_reranker[0] != name:
            from workbench.models import rerank

            self._kept_reranker = name, rerank.load(name)
        return self._kept_reranker[1] if self._kept_reranker else None

    def _vector(self, index: Index, query: str) -> np.ndarray:
        """Of a question; that of the last ones is kept, for a chat's are searched for again at every turn."""
        embedder = self._embedder_of(index)
        key = (embedder.fingerprint, query)
        if key not in self._vectors:
            self._vectors[key] = embedder.encode([query], query=True)[0]
            if len(self._vectors) > _QUESTIONS:
                del self._vectors[next(iter(self._vectors))]
        return self._vectors[key]

    def _open(self, name: str) -> None:
        self._embedder_of(self._index(name))

    def _index(self, name: str) -> Index:
        folder = self._workspace.index(name)
        if not folder.is_dir():
            self._indexes.pop(name, None)
            raise UnknownModel(
                f"there is no index {name!r}", do=f"Build it with `workbench index build {name} FOLDER`."
            )
        if name not in self._indexes:
            self._indexes[name] = Index(folder)
        return self._indexes[name]

    def _embedder_of(self, index: Index) -> Embedder:
        kept = self._embedders.get(index.embedding_model)
        if kept is None or kept.fingerprint != index.fingerprint:  # the weights on the disk may be newer
            kept = self._embedders[index.embedding_model] = embedder_of(index)
        return kept

    def _embed(self, model: str, texts: Sequence[str]) -> tuple[np.ndarray, int]:
        embedder = self._embedder(model)
        return embedder.encode(texts), sum(embedder.count_tokens(text) for text in texts)

    def _embedder(self, name: str) -> Embedder:
        folder = local.local_folder(name)
        if folder is None:
            raise UnknownModel(
                f"the embedding model {name!r} is not on this machine",
                do=f"Fetch it with `workbench models fetch {name}`.",
            )
        kept = self._embedders.get(name)
        if kept is None or kept.fingerprint != local.fingerprint(folder):
            from workbench.models.embed import Embedder

            kept = self._embedders[name] = Embedder(folder)
        return kept


def _compute_alone() -> None:
    from workbench.chat.threads import only_one

    only_one()
