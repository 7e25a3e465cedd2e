"""A thread that has a store of its own: what is asked of it is done in turn, off the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    """A store: what it holds is let go of with `close`."""

    def close(self) -> None: ...


Store = TypeVar("Store", bound=Closable)
Result = TypeVar("Result")


class StoreThread(Generic[Store]):
    """One thread, one connection. What was asked is done even if the app is left meanwhile."""

    def __init__(self, opens: Callable[[Path], Store], path: Path, name: str) -> None:
        """`opens`: called with `path`, the workspace's database, when something is asked for the first time."""
        self._opens, self._path = opens, path
        self._store: Store | None = None
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def do(self, work: Callable[[Store], Result]) -> Result:
        """Call `work` with the store, after all that was asked before, and return what it returns.

        Raises:
            UserError: the database cannot be opened, or what `work` raises.
        """
        asked = asyncio.wrap_future(self._executor.submit(self._run, work))
        return await asyncio.shield(asked)  # who no longer waits does not take back what was asked

    def close(self) -> None:
        """Close the store when all that was asked is done; does not wait for it."""
        with contextlib.suppress(RuntimeError):  # closed already
            self._executor.submit(self._close)
        self._executor.shutdown(wait=False)

    def _run(self, work: Callable[[Store], Result]) -> Result:
        if self._store is None:
            self._store = self._opens(self._path)
        return work(self._store)

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
