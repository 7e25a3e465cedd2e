"""The server's HTTP: OpenAI's routes over an engine, and /v1/search, /v1/load, /v1/status and /health beside them.

It knows nothing of models; everything that computes runs in threads, so that the event loop always answers.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from workbench.chat import protocol
from workbench.chat.answer import Delta, Question, UnknownModel
from workbench.chat.guard import Activity, Guard
from workbench.chat.protocol import ChatRequest, ChatWriter, EmbeddingRequest, LoadRequest, SearchRequest
from workbench.errors import UserError
from workbench.library.filters import Filter

if TYPE_CHECKING:
    import numpy as np

Result = TypeVar("Result")
_READ = ["GET", "HEAD"]


class Answers(Protocol):
    """What the routes need of `workbench.chat.engine.Engine`. Every method may be called from any thread; `answer` and
    `load` from one at a time for the models that are here, and from another one for those that are remote."""

    def is_remote(self, model: str) -> bool: ...
    def models(self) -> list[str]: ...
    def answer(self, question: Question, cancelled: Callable[[], bool]) -> Iterator[Delta]: ...
    def load(self, model: str) -> None: ...
    def embed(self, model: str, texts: Sequence[str]) -> tuple[np.ndarray, int]: ...
    def search(self, index: str, query: str, k: int, mode: str, filter: Filter | None = None) -> list[Any]: ...
    def status(self) -> dict[str, Any]: ...


class _ClientGone(Exception):
    """Nobody waits for the answer any more."""


def create_app(engine: Answers, *, token: str, host: str = "127.0.0.1", activity: Activity | None = None) -> FastAPI:
    """The server's application.

    Args:
        engine: what answers.
        token: every request but /health must carry it.
        host: the address that the server listens on.
        activity: told of every request.
    """
    activity = activity or Activity()
    # No pages of documentation: they would load scripts from elsewhere.
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    app.add_middleware(Guard, token=token, host=host, activity=activity)
    # One at a time, in the order in which they were asked; a slow server elsewhere keeps nobody waiting here.
    here = ThreadPoolExecutor(1, thread_name_prefix="answers")
    elsewhere = ThreadPoolExecutor(1, thread_name_prefix="remote-answers")

    def line_of(model: str) -> ThreadPoolExecutor:
        return elsewhere if engine.is_remote(model) else here

    @app.api_route("/health", methods=_READ)
    async def health() -> dict[str, Any]:
        return {"ok": True, "pid": os.getpid()}

    @app.api_route("/v1/status", methods=_READ)
    def status() -> dict[str, Any]:
        return {"pid": os.getpid(), **engine.status()}

    @app.api_route("/v1/models", methods=_READ)
    def models() -> dict[str, Any]:
        return protocol.models(engine.models())

    @app.api_route("/v1/models/{name:path}", methods=_READ)  # a path: names of the hub have a slash inside
    def model(name: str) -> dict[str, Any]:
        if name not in engine.models():
            raise UnknownModel(f"there is no model {name!r}", do="GET /v1/models lists them.")
        return protocol.model(name)

    @app.post("/v1/load")
    async def load(asked: LoadRequest) -> dict[str, Any]:
        await asyncio.get_running_loop().run_in_executor(line_of(asked.model), engine.load, asked.model)
        return {"model": asked.model, "loaded": True}

    @app.post("/v1/embeddings")
    def embeddings(asked: EmbeddingRequest) -> dict[str, Any]:
        vectors, tokens = engine.embed(asked.model, asked.input)
        return protocol.embeddings(asked.model, vectors, tokens, asked.encoding_format)

    @app.post("/v1/search")
    def search(asked: SearchRequest) -> dict[str, Any]:
        hits = engine.search(asked.index, asked.query, asked.k, asked.mode, asked.filter())
        listed = [{**asdict(hit), "place": hit.place} for hit in hits]
        return {"object": "list", "index": asked.index, "question": asked.query, "hits": listed}

    @app.post("/v1/chat/completions")
    async def chat(asked: ChatRequest, request: Request) -> Response:
        question = Question(
            asked.model,
            tuple(message.plain() for message in asked.messages),
            max_tokens=asked.max_completion_tokens or asked.max_tokens,
            temperature=asked.temperature,
            top_p=asked.top_p,
            seed=asked.seed,
            stop=tuple(asked.stop),
            top_k=asked.top_k,
            min_similarity=asked.min_similarity,
        )
        deltas = _in_thread(line_of(asked.model), engine, question)
        writer = ChatWriter(asked.model)
        try:
            if not asked.stream:
                return JSONResponse(writer.whole(await _unless_gone(request, _all(deltas))))
            # What can be refused is refused before the stream begins, with a status of its own.
            first = await _unless_gone(request, anext(deltas))
        except _ClientGone:
            await deltas.aclose()
            return Response(status_code=499)
        usage = asked.stream_options is not None and asked.stream_options.include_usage
        return StreamingResponse(_events(writer, first, deltas, usage=usage), media_type="text/event-stream")

    @app.exception_handler(UserError)
    async def user_error(request: Request, problem: UserError) -> JSONResponse:
        status, body = protocol.user_error(problem)
        return JSONResponse(body, status)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, problem: RequestValidationError) -> JSONResponse:
        return JSONResponse(protocol.invalid(problem.errors()), 400)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, problem: HTTPException) -> JSONResponse:
        message = f"{request.method} {request.scope['path']}: {problem.detail}"
        return JSONResponse(protocol.error(message), problem.status_code, headers=problem.headers)

    @app.exception_handler(Exception)
    async def failed(request: Request, problem: Exception) -> JSONResponse:
        return JSONResponse(protocol.error(_internal(problem), kind="server_error"), 500)

    return app


async def _in_thread(executor: ThreadPoolExecutor, engine: Answers, question: Question) -> AsyncGenerator[Delta]:
    """The engine's deltas, computed in the executor's thread; closing this ends the computation."""
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[Delta | BaseException | None] = asyncio.Queue()
    cancelled = threading.Event()

    def put(item: Delta | BaseException | None) -> None:
        try:
            loop.call_soon_threadsafe(arrived.put_nowait, item)
        except RuntimeError:  # the loop is closed: the server is ending
            cancelled.set()

    def compute() -> None:
        try:
            if not cancelled.is_set():
                for delta in engine.answer(question, cancelled.is_set):
                    put(delta)
            put(None)
        except BaseException as error:
            put(error)

    executor.submit(compute)
    try:
        while (item := await arrived.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        cancelled.set()


async def _all(deltas: AsyncIterator[Delta]) -> list[Delta]:
    return [delta async for delta in deltas]


async def _events(
    writer: ChatWriter, first: Delta, deltas: AsyncGenerator[Delta], *, usage: bool
) -> AsyncIterator[str]:
    """Server-sent events: a chunk a delta; an error that comes late is an event too."""
    try:
        yield _event(writer.chunk(first, first=True))
        async for delta in deltas:
            yield _event(writer.chunk(delta, first=False))
            if usage and delta.figures:
                yield _event(writer.usage_chunk(delta.figures))
        yield "data: [DONE]\n\n"
    except UserError as problem:
        yield _event(protocol.user_error(problem)[1])
    except Exception as problem:
        traceback.print_exc(file=sys.stderr)
        yield _event(protocol.error(_internal(problem), kind="server_error"))
    finally:
        await deltas.aclose()


def _event(value: dict[str, Any]) -> str:
    # In ASCII: many clients end a line at U+2028, U+2029 and U+0085, too.
    return f"data: {json.dumps(value)}\n\n"


async def _unless_gone(request: Request, work: Awaitable[Result]) -> Result:
    """The result of `work`, which is cancelled when the client goes away.

    Raises:
        _ClientGone: it went.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise _ClientGone
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


def _internal(problem: BaseException) -> str:
    if isinstance(problem, MemoryError):
        return "the server ran out of memory; use a smaller model or a shorter prompt"
    return f"the server failed ({type(problem).__name__}); the details are in .workbench/server.log"
