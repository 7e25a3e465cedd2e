"""Talking to a server: the workspace's own, found or started by itself, or any that speaks the OpenAI API.

Light (no torch): the command line and the app use it. `Client` blocks, `AsyncClient` is its twin for the app.
Ending the iteration over an answer ends the generation.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx2

from workbench.chat import address
from workbench.chat.answer import Answer, Citation, Cut, Delta, Figures, known
from workbench.errors import UserError
from workbench.library.filters import Filter
from workbench.workspace import Workspace

_CONNECT = 5.0  # seconds; reading waits as long as it takes: loading weights, other answers, a long prompt
_QUICK = 30.0  # seconds for what computes nothing


class Refused(UserError):
    """The server understood the request and refuses it as it is (400, 413, 422): asking again would change nothing."""


class _Server:
    """Where requests go: a fixed address, or the workspace's server, which is started again if it has ended."""

    def __init__(
        self,
        url: str | None,
        token: str | None,
        workspace: Workspace | None,
        parent: int | None,
        patience: float | None = None,
    ) -> None:
        self._url, self._token, self.workspace, self._parent = url, token, workspace, parent
        self._patience = patience

    def place(self) -> tuple[str, dict[str, str]]:
        """The base URL and the headers of a request. May take seconds, when it starts a server."""
        if self.workspace is None:
            assert self._url is not None
            return self._url.rstrip("/"), {"authorization": f"Bearer {self._token}"} if self._token else {}
        here = address.ensure_running(self.workspace, parent=self._parent)
        return here.url, {"authorization": f"Bearer {here.token}"}

    def transport(self) -> dict[str, Any]:
        """How to connect. To loopback: never through a proxy, and without loading certificates, which takes 40 ms."""
        timeout = httpx2.Timeout(self._patience, connect=_CONNECT)
        here = self._url is None or address.is_loopback(self._url)
        return {"timeout": timeout, "trust_env": not here, "verify": not here or (self._url or "").startswith("https")}

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Turns what goes wrong on the way into a UserError."""
        try:
            yield
        except httpx2.TransportError as error:
            if self.workspace is not None and address.running(self.workspace) is None:
                words = address.last_words(self.workspace)
                raise UserError(f"the server has ended: {words}", do="Ask again: it starts by itself.") from None
            raise UserError(
                f"the server does not answer: {str(error) or type(error).__name__}",
                where=self._url,
                do="See `.workbench/server.log` of the workspace." if self.workspace else "Check that it runs.",
            ) from None


class Client:
    """A blocking client; `with Client.from_workspace(workspace) as client: ...`."""

    def __init__(self, url: str, token: str | None = None, *, patience: float | None = None) -> None:
        """Talk to the server at `url` (without /v1), which may be silent for `patience` seconds; None: as long as it
        takes."""
        self._set_up(_Server(url, token, None, None, patience))

    @classmethod
    def from_workspace(cls, workspace: Workspace, *, parent: int | None = None) -> Client:
        """Talk to the workspace's server; it is started when the first request needs it.

        Args:
            workspace: whose server.
            parent: the process with which a server started here ends; None: it ends when idle for long.
        """
        client = cls.__new__(cls)
        client._set_up(_Server(None, None, workspace, parent))
        return client

    def _set_up(self, server: _Server) -> None:
        self._server = server
        self._http = httpx2.Client(**server.transport())

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections; the server lives on."""
        self._http.close()

    def chat(self, messages: Iterable[dict[str, str]], model: str, **options: Any) -> Iterator[Delta]:
        """Ask; yields the answer as it comes, the citations first, the figures last.

        Args:
            messages: the chat, `{"role", "content"}`; the last one is the user's.
            model: the name of a hybrid.
            options: max_tokens, temperature, top_p, seed, stop, top_k.

        Raises:
            UserError: the hybrid cannot be had, the request is at fault, or the server is gone.
        """
        url, headers = self._server.place()
        body = _chat_body(messages, model, options)
        with (
            self._server.explaining(),
            self._http.stream("POST", f"{url}/v1/chat/completions", headers=headers, json=body) as response,
        ):
            if response.status_code != 200:
                response.read()
                raise _refusal(response)
            lines = _Lines()
            for piece in response.iter_bytes():
                yield from _deltas(lines.feed(piece))
            yield from _deltas(lines.rest())

    def answer(self, messages: Iterable[dict[str, str]], model: str, **options: Any) -> Answer:
        """Ask, and wait for the whole answer; see `chat`."""
        return collect(self.chat(messages, model, **options))

    def search(
        self, index: str, query: str, k: int = 5, mode: str = "fused", filter: Filter | None = None
    ) -> list[dict[str, Any]]:
        """The k best passages of an index, as `workbench.library.search.Hit` names their fields.

        Args:
            index: its name.
            query: a question.
            k: how many at most.
            mode: fused, dense or lexical; see `workbench.library.index.Index.search`.
            filter: the documents that are looked in; None: all.
        """
        return self._post("/v1/search", _search_body(index, query, k, mode, filter))["hits"]

    def embeddings(self, texts: Sequence[str], model: str) -> list[list[float]]:
        """One vector of length 1 a text."""
        body = {"input": list(texts), "model": model, "encoding_format": "float"}
        return [row["embedding"] for row in self._post("/v1/embeddings", body)["data"]]

    def models(self) -> list[str]:
        """The names of the hybrids that can be asked."""
        return [row["id"] for row in self._get("/v1/models")["data"]]

    def load(self, model: str) -> None:
        """Have a hybrid ready before it is asked; returns when it is."""
        self._post("/v1/load", {"model": model})

    def status(self) -> dict[str, Any]:
        """What is loaded, how fast it answers, whether it is busy."""
        return self._get("/v1/status")

    def health(self) -> dict[str, Any]:
        """{"ok": True, "pid": ...} if the server answers."""
        return self._get("/health")

    def _get(self, path: str) -> dict[str, Any]:
        url, headers = self._server.place()
        with self._server.explaining():
            return _body(self._http.get(url + path, headers=headers, timeout=_QUICK))

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        url, headers = self._server.place()
        with self._server.explaining():
            return _body(self._http.post(url + path, headers=headers, json=body))


class AsyncClient:
    """The twin of `Client` for the app; every method is that of `Client`, awaited."""

    def __init__(self, url: str, token: str | None = None, *, patience: float | None = None) -> None:
        """See `Client`."""
        self._set_up(_Server(url, token, None, None, patience))

    @classmethod
    def from_workspace(cls, workspace: Workspace, *, parent: int | None = None) -> AsyncClient:
        """See `Client.from_workspace`."""
        client = cls.__new__(cls)
        client._set_up(_Server(None, None, workspace, parent))
        return client

    def _set_up(self, server: _Server) -> None:
        self._server = server
        self._http = httpx2.AsyncClient(**server.transport())

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """See `Client.close`."""
        await self._http.aclose()

    async def chat(self, messages: Iterable[dict[str, str]], model: str, **options: Any) -> AsyncIterator[Delta]:
        """See `Client.chat`; cancelling the task, or `aclose`, ends the generation."""
        url, headers = await asyncio.to_thread(self._server.place)
        body = _chat_body(messages, model, options)
        with self._server.explaining():
            async with self._http.stream("POST", f"{url}/v1/chat/completions", headers=headers, json=body) as response:
                if response.status_code != 200:
                    await response.aread()
                    raise _refusal(response)
                lines = _Lines()
                async for piece in response.aiter_bytes():
                    for delta in _deltas(lines.feed(piece)):
                        yield delta
                for delta in _deltas(lines.rest()):
                    yield delta

    async def answer(self, messages: Iterable[dict[str, str]], model: str, **options: Any) -> Answer:
        """See `Client.answer`."""
        return collect([delta async for delta in self.chat(messages, model, **options)])

    async def search(
        self, index: str, query: str, k: int = 5, mode: str = "fused", filter: Filter | None = None
    ) -> list[dict[str, Any]]:
        """See `Client.search`."""
        return (await self._post("/v1/search", _search_body(index, query, k, mode, filter)))["hits"]

    async def embeddings(self, texts: Sequence[str], model: str) -> list[list[float]]:
        """See `Client.embeddings`."""
        body = {"input": list(texts), "model": model, "encoding_format": "float"}
        return [row["embedding"] for row in (await self._post("/v1/embeddings", body))["data"]]

    async def models(self) -> list[str]:
        """See `Client.models`."""
        return [row["id"] for row in (await self._get("/v1/models"))["data"]]

    async def load(self, model: str) -> None:
        """See `Client.load`."""
        await self._post("/v1/load", {"model": model})

    async def status(self) -> dict[str, Any]:
        """See `Client.status`."""
        return await self._get("/v1/status")

    async def health(self) -> dict[str, Any]:
        """See `Client.health`."""
        return await self._get("/health")

    async def running_status(self) -> dict[str, Any] | None:
        """The status of the workspace's server, or None if there is none: none is started for it."""
        if self._server.workspace is not None and address.running(self._server.workspace) is None:
            return None
        try:
            return await self.status()
        except UserError:
            return None

    async def _get(self, path: str) -> dict[str, Any]:
        url, headers = await asyncio.to_thread(self._server.place)
        with self._server.explaining():
            return _body(await self._http.get(url + path, headers=headers, timeout=_QUICK))

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        url, headers = await asyncio.to_thread(self._server.place)
        with self._server.explaining():
            return _body(await self._http.post(url + path, headers=headers, json=body))


def collect(deltas: Iterable[Delta]) -> Answer:
    """A whole answer from its pieces.

    Raises:
        UserError: it broke off.
    """
    pieces = list(deltas)
    if not pieces or pieces[-1].figures is None:
        raise UserError("the answer broke off", do="Ask again.")
    first = pieces[0]
    text = "".join(piece.text for piece in pieces)
    return Answer(text, first.citations, first.not_in_library, first.cut, pieces[-1].figures)


def _chat_body(messages: Iterable[dict[str, str]], model: str, options: dict[str, Any]) -> dict[str, Any]:
    given = {key: value for key, value in options.items() if value is not None}
    return {"model": model, "messages": list(messages), "stream": True, **given}


class _Lines:
    """Lines out of pieces of bytes. They end with a newline alone: httpx2's also end at U+2028 and its like."""

    def __init__(self) -> None:
        self._begun = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that this piece completes."""
        *lines, self._begun = (self._begun + piece).split(b"\n")
        return lines

    def rest(self) -> list[bytes]:
        """A last line that no newline ended."""
        return [self._begun]


def _deltas(lines: Iterable[bytes]) -> Iterator[Delta]:
    """Deltas from the lines of a stream of server-sent events."""
    for line in lines:
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            return
        try:
            chunk = json.loads(data)
        except ValueError:
            chunk = None
        if not isinstance(chunk, dict):
            shown = data[:80].decode(errors="replace")
            raise UserError(
                f"the server sent what is not a JSON object: {shown}", do="Check that it speaks OpenAI's API."
            )
        if problem := chunk.get("error"):
            raise _problem(problem)
        try:
            if chunk.get("choices"):
                yield _delta(chunk)
            elif chunk.get("usage"):
                yield Delta(figures=Figures(**known(Figures, chunk["usage"])))
        except (AttributeError, IndexError, KeyError, TypeError):
            raise UserError("the server sent a chunk that is not of OpenAI's form") from None


def _delta(chunk: dict[str, Any]) -> Delta:
    choice, figures = chunk["choices"][0], None
    if choice.get("finish_reason"):
        told = {**chunk, **(chunk.get("usage") or {}), "finish_reason": choice["finish_reason"]}
        figures = Figures(**known(Figures, told))
    return Delta(
        text=(choice.get("delta") or {}).get("content") or "",
        citations=tuple(Citation(**known(Citation, each)) for each in chunk.get("citations") or ()),
        not_in_library=bool(chunk.get("not_in_library")),
        cut=Cut(**known(Cut, chunk["cut"])) if chunk.get("cut") else None,
        figures=figures,
    )


def _body(response: httpx2.Response) -> dict[str, Any]:
    if response.status_code != 200:
        raise _refusal(response)
    return response.json()


def _refusal(response: httpx2.Response) -> UserError:
    kind = Refused if response.status_code in (400, 413, 422) else UserError
    try:
        return _problem(response.json()["error"], kind)
    except (ValueError, KeyError, TypeError):
        return kind(f"the server answers {response.status_code}: {response.text[:200]}", where=str(response.url))


def _problem(error: Any, kind: type[UserError] = UserError) -> UserError:
    if not isinstance(error, dict):
        return kind(str(error)[:200].rstrip("."))
    if error.get("what"):
        return kind(error["what"], where=error.get("where"), do=error.get("do"))
    return kind(str(error.get("message") or error).rstrip("."))


def _search_body(index: str, query: str, k: int, mode: str, filter: Filter | None) -> dict[str, Any]:
    body: dict[str, Any] = {"index": index, "query": query, "k": k, "mode": mode}
    if filter:
        days = {key: str(day) for key, day in (("since", filter.since), ("until", filter.until)) if day}
        body |= {"within": list(filter.within), "types": list(filter.types), **days}
    return body
