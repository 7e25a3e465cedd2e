"""The read side of an index: searching it, and the model that its questions are embedded with.

An `Index` is told a question's vector. It opens the caches once and opens them again when a build has replaced them;
what is the same in the new ones stays open.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from workbench import output
from workbench.errors import UserError
from workbench.library import caches, integrity, ranking
from workbench.library.filters import Filter
from workbench.library.ranking import Options
from workbench.library.search import Hit
from workbench.library.store import FILE, Store

if TYPE_CHECKING:
    import numpy as np

    from workbench.models.embed import Embedder
    from workbench.settings import Settings


class Index:
    """An index, opened for searching. Safe to use from several threads."""

    def __init__(self, folder: Path, *, tell: Callable[[str], None] = output.warn) -> None:
        """Open the index in a folder; its caches are checked, and made again from the store where in doubt.

        Args:
            folder: `workspace.index(NAME)`.
            tell: told in one line when the caches are made again.

        Raises:
            UserError: there is no index, no build of it was completed, or its database is damaged.
        """
        self.folder = folder
        self.name = folder.name
        self._tell = tell
        self._lock = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._embedding_model = ""
        self._caches: caches.Caches | None = None
        self._checking = False
        self._current()

    @property
    def embedding_model(self) -> str:
        """The model that questions must be embedded with: a name of the catalogue, a hub id, or a folder."""
        self._current()
        return self._embedding_model

    @property
    def fingerprint(self) -> str:
        """The fingerprint of that model's weights."""
        return self._current().manifest.fingerprint

    @property
    def dimensions(self) -> int:
        """Length of a question's vector."""
        return self._current().manifest.dimensions

    def __len__(self) -> int:
        """How many chunks it holds."""
        return self._current().manifest.chunks

    def search(
        self,
        question: str,
        vector: np.ndarray | None,
        k: int,
        options: Options | None = None,
        *,
        mode: str = "fused",
    ) -> list[Hit]:
        """The passages that answer a question best, best first.

        Args:
            question: its words, for BM25; any text.
            vector: the question embedded by `embedding_model`, float32 [dimensions]; None in mode lexical.
            k: how many at most.
            options: how; None: with the defaults, in this mode.
            mode: see `Options`, which has its own.

        Raises:
            UserError: the vector has another length than the index's, or is not finite.
        """
        current = self._current()
        if vector is not None:
            self._check(current, vector)
        with Store(self.folder) as store:
            return ranking.search(current, store, question, vector, k, options or Options(mode=mode))

    def _check(self, current: caches.Caches, vector: np.ndarray) -> None:
        import numpy as np

        if vector.shape != (current.manifest.dimensions,) or not np.isfinite(vector).all():
            raise UserError(
                f"the question's vector does not fit ({vector.shape}, not ({current.manifest.dimensions},))",
                where=f"index {self.name}",
                do=f"Embed it with {self.embedding_model}.",
            )

    def _current(self) -> caches.Caches:
        with self._lock:
            if self._caches is None or self._stamp() != self._seen:
                self._caches = self._open(self._caches)
            return self._caches

    def _stamp(self) -> tuple[int, int] | None:
        """Changes whenever a manifest was written."""
        try:
            status = (self.folder / caches.MANIFEST).stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino

    def _open(self, before: caches.Caches | None) -> caches.Caches:
        if not (self.folder / FILE).is_file():
            raise UserError(
                f"there is no index {self.name!r}", do=f"Make it with `workbench index build {self.name} PATH`."
            )
        with caches.publish_lock(self.folder), Store(self.folder) as store:
            if store.revision == 0:
                raise UserError(
                    f"no build of the index {self.name!r} was completed",
                    do="See `workbench jobs list`; go on with `workbench jobs resume` where it was stopped or killed.",
                )
            try:
                opened = caches.open_caches(self.folder, store.revision, before)
            except caches.StaleError:  # an update ended before it came to them
                opened = self._brought_forward(store, before)
            except caches.DoubtError as doubt:
                self._tell(f"Index {self.name}: {doubt}; made again from {FILE}.")
                opened = self._made_again(store)
            self._seen, self._embedding_model = self._stamp(), store.facts()["embedding_model"]
        if opened.trusted and not self._checking:
            self._checking = True
            threading.Thread(target=self._read_in_full, name=f"check of {self.name}").start()
        return opened

    def _brought_forward(self, store: Store, before: caches.Caches | None) -> caches.Caches:
        try:
            caches.refresh(self.folder, store)
            return caches.open_caches(self.folder, store.revision, before)
        except OSError as error:
            self._tell(f"Index {self.name}: answers as before its last update, which cannot be written: {error}")
        except (caches.DoubtError, ValueError, KeyError):
            return self._made_again(store)
        try:
            return caches.open_caches(self.folder, None, before)
        except caches.DoubtError:
            return self._made_again(store)

    def _made_again(self, store: Store) -> caches.Caches:
        try:
            caches.publish(self.folder, store)
            return caches.open_caches(self.folder, store.revision)
        except (caches.DoubtError, ValueError, KeyError) as error:
            raise UserError(
                f"its database lacks what the index is made from ({error})",
                where=str(self.folder / FILE),
                do=f"Run `workbench index update {self.name}`.",
            ) from None
        except OSError as error:
            raise UserError(
                f"its files are in doubt and cannot be made again: {error}",
                where=f"index {self.name}",
                do="Make room, then ask again.",
            ) from None

    def _read_in_full(self) -> None:
        """Read in full what was trusted on opening, and what updates add meanwhile; the next question finds damage
        repaired."""
        whole: dict[str, str] = {}
        while (name := self._next_to_read(whole)) is not None:
            expected = whole[name]
            if integrity.damaged(self.folder, {name: expected}) is None or self._was_replaced(name, expected):
                continue
            with self._lock:
                if self._caches is not None and self._caches.manifest.files.get(name) == expected:
                    with contextlib.suppress(OSError):
                        integrity.distrust(self.folder)
                    self._caches = None
                    del whole[name]

    def _was_replaced(self, name: str, expected: str) -> bool:
        """Whether an update has put others in a file's place, and perhaps removed it."""
        try:
            return caches.read_manifest(self.folder).files.get(name) != expected
        except caches.DoubtError:
            return False

    def _next_to_read(self, whole: dict[str, str]) -> str | None:
        """A file of the caches that are open which is not among those that were read, and now is; None at the end."""
        with self._lock:
            current = self._caches
            if current is not None and current.trusted:
                for name, expected in current.manifest.files.items():
                    if whole.get(name) != expected:
                        whole[name] = expected
                        return name
                integrity.trust(self.folder, current.manifest.files)
                self._caches = replace(current, trusted=False)
            self._checking = False
            return None


def options_of(settings: Settings, mode: str = "fused", filter: Filter | None = None) -> Options:
    """How the settings say that an index is searched: mode fused with their reranker, if they name one. Its loading
    takes seconds.

    Raises:
        UserError: the reranker is not on this machine, or is none.
    """
    named = settings.retrieval.reranker if mode == "fused" else ""
    if not named:
        return Options(mode, filter or Filter())
    from workbench.models import rerank

    return Options(mode, filter or Filter(), rerank=rerank.load(named).scores)


def embedder_of(index: Index) -> Embedder:
    """Load the model that an index's questions must be embedded with. Takes seconds.

    Raises:
        UserError: it is not on this machine, is damaged, or has other weights than those that the index was built with.
    """
    from workbench.models import local

    folder = local.ensure(index.embedding_model)
    if local.fingerprint(folder) != index.fingerprint:
        raise UserError(
            f"the index {index.name!r} was built with other weights of {index.embedding_model}",
            do=f"Put the old weights back, or embed it anew with `workbench index update {index.name} --reembed`.",
        )
    from workbench.models.embed import Embedder

    return Embedder(folder)
