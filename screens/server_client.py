"""The connection of a screen to the workspace's server, which is started by its first request and ends with the app."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from workbench.workspace import Workspace

if TYPE_CHECKING:
    from workbench.chat.client import AsyncClient


class ServerClient:
    """The client is made when it is first needed: neither importing nor making it delays a screen's first paint."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @cached_property
    def client(self) -> AsyncClient:
        """The client; it lives until `close`."""
        from workbench.chat.client import AsyncClient

        return AsyncClient.from_workspace(self._workspace, parent=os.getpid())

    def runs(self) -> bool:
        """Whether the workspace has a server now; looks at a file and a process."""
        from workbench.chat import address

        return address.running(self._workspace) is not None

    async def close(self) -> None:
        """Let go of the connections."""
        if "client" in self.__dict__:
            await self.client.close()
