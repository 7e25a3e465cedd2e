"""What the status line says of the server: which model it holds and how fast it answers. Nothing else polls it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.workspace import Workspace

if TYPE_CHECKING:
    from workbench.chat.client import AsyncClient


@dataclass(frozen=True)
class ServerState:
    """The server as it was at the last look."""

    model: str | None = None
    """The hybrid that it used last; None before the first one is loaded."""
    tokens_per_second: float | None = None
    """Of the last answer."""
    busy: bool = False
    """It is answering or loading."""
    memory_bytes: int | None = None
    """What its process holds."""
    path: str = ""
    """How that model is computed: lean, or transformers; empty where there is none."""
    loading: str = ""
    """What it loads right now; empty: nothing."""


def _client_of(workspace: Workspace) -> AsyncClient:
    """In a thread: importing the HTTP client takes a tenth of a second."""
    from workbench.chat.client import AsyncClient

    return AsyncClient.from_workspace(workspace)


class ServerWatch:
    """Looks at the workspace's server. A server is never started by looking."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._client: AsyncClient | None = None

    @property
    def worth_a_look(self) -> bool:
        """Whether there may be one: costs one look at a file."""
        return (self._workspace.private / "server.json").exists()

    async def look(self) -> ServerState | None:
        """Its state; None when it is not running."""
        if not self.worth_a_look:
            return None
        if self._client is None:
            self._client = await asyncio.to_thread(_client_of, self._workspace)
        status = await self._client.running_status()
        if status is None:
            return None
        loaded = status.get("loaded") or [None]
        memory = status.get("memory_bytes")
        return ServerState(
            loaded[-1],
            status.get("tokens_per_second"),
            bool(status.get("busy")),
            # In tens of megabytes: what changes less is not news to paint.
            round(memory, -7) if isinstance(memory, int) else None,
            (status.get("paths") or {}).get(loaded[-1], ""),
            str(status.get("loading") or ""),
        )

    async def close(self) -> None:
        """Let go of the connection."""
        if self._client is not None:
            await self._client.close()
