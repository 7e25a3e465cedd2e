"""The server's HTTP over a fake engine: who is let in, OpenAI's forms, errors, streaming, cancelling."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import numpy as np
import pytest
import uvicorn

from workbench.chat.answer import Citation, Cut, Delta, Figures, Question, UnknownModel
from workbench.chat.client import AsyncClient, Client, collect
from workbench.chat.guard import MAX_BYTES, Activity, Guard
from workbench.chat.routes import create_app
from workbench.errors import UserError

TOKEN = "the-token"
CITED = Citation(1, "leave.md", "Leave · lines 3-9", "Thirty days. [/red] \x1b[31m", 0.03, 0.71, 1, 2, 3, 9)
SEPARATORS = "one\u2028two\u2029three\x85four"
"""What Unicode calls the end of a line, and server-sent events do not."""
ENDED = Figures(12, 3, 0.25, 40.0, 0.0, cached_tokens=8, path="lean")


@dataclass(frozen=True)
class FakeHit:
    """What the routes need of a hit."""

    text: str
    document: str

    @property
    def place(self) -> str:
        return "line 1"


@dataclass
class FakeEngine:
    """Answers at once, fails, or goes on until it is cancelled, by the model's name."""

    asked: list[Question] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    going: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)
    at_once: int = 0
    most_at_once: int = 0

    def models(self) -> list[str]:
        return ["base", "base+rag:handbook"]

    def status(self) -> dict[str, Any]:
        return {"loaded": ["base"], "busy": False}

    def is_remote(self, model: str) -> bool:
        return model == "remote"

    def load(self, model: str) -> None:
        if model != "base":
            raise UnknownModel("no such model")

    def embed(self, model: str, texts: Sequence[str]) -> tuple[np.ndarray, int]:
        return np.array([[len(text), 0.5] for text in texts], np.float32), 7

    def search(self, index: str, query: str, k: int, mode: str, filter: Any = None) -> list[Any]:
        self.modes.append(mode)
        return [FakeHit("Thirty days.", "leave.md")][:k]

    def answer(self, question: Question, cancelled: Callable[[], bool]) -> Iterator[Delta]:
        self.asked.append(question)
        if question.model == "unknown":
            raise UnknownModel("there is no run 'tone'", do="See `workbench runs list`.")
        if question.model == "damaged":
            raise UserError("adapter_model.safetensors is not what was written", where="runs/tone", do="Train again.")
        if question.model == "bug":
            raise ZeroDivisionError("secret detail")
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            yield Delta(citations=(CITED,), cut=Cut(passages=2))
            if question.model == "endless":
                self.going.set()
                while not cancelled():
                    yield Delta("again ")
                self.cancelled.set()
                return
            if question.model == "separators":
                yield Delta(SEPARATORS, figures=ENDED)
                return
            yield Delta("Thirty ")
            if question.model == "breaks":
                raise UserError("the model broke", do="Try another.")
            yield Delta("days ✓")
            yield Delta(figures=ENDED)
        finally:
            self.at_once -= 1


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def url(engine: FakeEngine) -> Iterator[str]:
    """The URL of a server over the engine."""
    with serving(create_app(engine, token=TOKEN)) as url:
        yield url


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """A real server on loopback, as the product runs it."""
    server = uvicorn.Server(uvicorn.Config(app, http="h11", lifespan="off", log_config=None))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def http(url: str) -> Iterator[httpx2.Client]:
    headers = {"authorization": f"Bearer {TOKEN}"}
    with httpx2.Client(base_url=url, headers=headers, trust_env=False, timeout=20) as client:
        yield client


def chat(model: str = "base", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "How long?"}], **fields}


def events(response: httpx2.Response) -> list[Any]:
    lines = [line for line in response.text.split("\n\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    return [json.loads(line[6:]) if line != "data: [DONE]" else None for line in lines]


# Who is let in


@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}])
def test_only_the_token_opens(url: str, header: dict[str, str], engine: FakeEngine) -> None:
    for method, path in [("GET", "/v1/models"), ("POST", "/v1/chat/completions"), ("GET", "/v1/status")]:
        response = httpx2.request(method, url + path, headers=header, json=chat() if method == "POST" else None)
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "invalid_api_key"
        assert TOKEN not in response.text
    assert not engine.asked


def test_health_is_open_and_tells_nothing_else(url: str) -> None:
    assert set(httpx2.get(f"{url}/health").json()) == {"ok", "pid"}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "192.168.0.7", ""])
def test_a_foreign_host_header_is_refused(http: httpx2.Client, host: str) -> None:
    for path in ("/v1/models", "/health"):
        assert http.get(path, headers={"host": host}).status_code in (400, 421)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1234", "127.0.0.1", "127.0.0.1:8000", "[::1]:8000"])
def test_names_of_loopback_are_accepted(http: httpx2.Client, host: str) -> None:
    assert http.get("/v1/models", headers={"host": host}).status_code == 200


async def test_opened_to_the_network_it_answers_to_addresses_and_its_own_name_only() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def status(host: str) -> int:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "path": "/health", "headers": [(b"host", host.encode())]}
        await Guard(app, token=TOKEN, host="box.lan", activity=Activity())(scope, send, send)
        return sent[0]["status"]

    assert [await status(host) for host in ("box.lan:80", "192.168.0.7:80", "[fe80::1]", "localhost")] == [200] * 4
    assert await status("evil.example") == 421


def test_a_large_request_is_refused_announced_or_not(http: httpx2.Client, engine: FakeEngine) -> None:
    body = json.dumps(chat()).encode()[:-1] + b" " * MAX_BYTES + b"}"
    pieces = (body[at : at + 65536] for at in range(0, len(body), 65536))
    for content in (body, pieces):
        try:
            response = http.post("/v1/chat/completions", content=content)
        except httpx2.TransportError:  # the server need not read all of it before it refuses
            continue
        assert response.status_code == 413
    assert not engine.asked


# OpenAI's forms


def test_a_whole_answer(http: httpx2.Client, engine: FakeEngine) -> None:
    body = http.post("/v1/chat/completions", json=chat(stop="###", max_tokens=9, seed=4, top_k=2)).json()
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "Thirty days ✓"}
    assert body["choices"][0]["finish_reason"] == "stop"
    tokens = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
    assert body["usage"] == {**tokens, "prompt_tokens_details": {"cached_tokens": 8}}
    assert body["path"] == "lean"
    assert body["citations"][0]["place"] == "Leave · lines 3-9"
    assert body["cut"] == {"passages": 2, "turns": 0}
    assert (body["seconds_to_first_token"], body["tokens_per_second"]) == (0.25, 40.0)
    asked = engine.asked[0]
    assert (asked.stop, asked.max_tokens, asked.seed, asked.top_k) == (("###",), 9, 4, 2)


def test_a_streamed_answer(http: httpx2.Client) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    response = http.post("/v1/chat/completions", json=chat(**options))
    assert response.headers["content-type"].startswith("text/event-stream")
    *chunks, usage, done = events(response)
    assert done is None
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 15)
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == "Thirty days ✓"
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[0]["citations"][0]["text"] == CITED.text
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, "stop"]
    assert chunks[-1]["tokens_per_second"] == 40.0
    assert len({chunk["id"] for chunk in [*chunks, usage]}) == 1


def test_text_parts_and_developer_messages_are_understood(http: httpx2.Client, engine: FakeEngine) -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
    ]
    assert http.post("/v1/chat/completions", json=chat(messages=messages)).status_code == 200
    assert engine.asked[0].messages == (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "one\ntwo"},
    )


def test_embeddings_as_lists_and_as_base64(http: httpx2.Client) -> None:
    body = {"model": "minilm", "input": ["ab", "c"]}
    rows = http.post("/v1/embeddings", json=body).json()["data"]
    assert [row["embedding"] for row in rows] == [[2.0, 0.5], [1.0, 0.5]]
    packed = http.post("/v1/embeddings", json={**body, "input": "abc", "encoding_format": "base64"}).json()
    assert struct.unpack("<2f", base64.b64decode(packed["data"][0]["embedding"])) == (3.0, 0.5)


def test_search_models_load_and_status(url: str, engine: FakeEngine) -> None:
    with Client(url, TOKEN) as client:
        assert client.search("handbook", "days", 3) == [
            {"text": "Thirty days.", "document": "leave.md", "place": "line 1"}
        ]
        client.search("handbook", "days", mode="lexical")
        assert engine.modes == ["fused", "lexical"]
        with pytest.raises(UserError, match="mode"):
            client.search("handbook", "days", mode="best")
        assert client.models() == ["base", "base+rag:handbook"]
        client.load("base")
        with pytest.raises(UserError, match="no such model"):
            client.load("other")
        assert client.status()["loaded"] == ["base"]
        assert client.health()["ok"] is True


# Errors


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "status", "words"),
    [
        ("unknown", 404, "there is no run 'tone'. See `workbench runs list`."),
        ("damaged", 400, "runs/tone: adapter_model.safetensors is not what was written. Train again."),
        ("bug", 500, "the server failed (ZeroDivisionError); the details are in .workbench/server.log"),
    ],
)
def test_errors_have_openai_form_and_say_what_to_do(
    http: httpx2.Client, model: str, status: int, words: str, stream: bool
) -> None:
    response = http.post("/v1/chat/completions", json=chat(model, stream=stream))
    assert response.status_code == status
    assert response.json()["error"]["message"] == words
    assert "Traceback" not in response.text
    assert "secret" not in response.text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "the last message must be the user's"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "only text parts"),
        ({"temperature": 9}, "temperature"),
        ({"n": 2}, "n: "),
        ({"tools": [{}]}, "tools: not supported"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_bad_requests_are_named_by_their_field(http: httpx2.Client, fields: dict[str, Any], words: str) -> None:
    response = http.post("/v1/chat/completions", json=chat(**fields))
    assert response.status_code == 400
    assert words in response.json()["error"]["message"]


def test_what_is_not_json_or_not_there(http: httpx2.Client) -> None:
    assert http.post("/v1/chat/completions", content=b"{nonsense").json()["error"]["code"] == "invalid_request"
    assert "/v1/nothing: Not Found" in http.get("/v1/nothing").json()["error"]["message"]
    assert http.get("/v1/chat/completions").status_code == 405
    assert http.get("/docs").status_code == 404


def test_half_a_character_is_refused(http: httpx2.Client) -> None:
    body = json.dumps(chat(messages=[{"role": "user", "content": "\ud800"}]))  # \ud800, as JSON can write it
    response = http.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "messages.0.content"


def test_an_answer_that_breaks_off_says_why(url: str) -> None:
    with Client(url, TOKEN) as client:
        deltas = client.chat([{"role": "user", "content": "?"}], "breaks")
        assert next(deltas).citations == (CITED,)
        assert next(deltas).text == "Thirty "
        with pytest.raises(UserError, match=r"the model broke. Try another."):
            next(deltas)


# The clients, and cancelling


def test_the_clients_read_what_the_engine_said(url: str) -> None:
    question = [{"role": "user", "content": "How long?"}]
    with Client(url, TOKEN) as client:
        answer = client.answer(question, "base")
    assert (answer.text, answer.citations, answer.cut, answer.figures) == (
        "Thirty days ✓",
        (CITED,),
        Cut(passages=2),
        ENDED,
    )

    async def ask() -> None:
        async with AsyncClient(url, TOKEN) as twin:
            assert await twin.answer(question, "base") == answer
            assert await twin.models() == ["base", "base+rag:handbook"]
            assert (await twin.search("handbook", "days"))[0]["document"] == "leave.md"
            assert await twin.embeddings(["ab"], "minilm") == [[2.0, 0.5]]

    asyncio.run(ask())


async def answers_of_both(url: str, model: str) -> list[str]:
    """What the blocking client and its twin read."""
    question = [{"role": "user", "content": "?"}]

    def ask() -> str:
        with Client(url, TOKEN) as client:
            return client.answer(question, model).text

    async with AsyncClient(url, TOKEN) as twin:
        return [await asyncio.to_thread(ask), (await twin.answer(question, model)).text]


async def test_unicodes_ends_of_lines_end_no_event(url: str, http: httpx2.Client) -> None:
    assert await answers_of_both(url, "separators") == [SEPARATORS] * 2
    response = http.post("/v1/chat/completions", json=chat("separators", stream=True))
    assert response.content.isascii()  # for clients that end a line at them


@contextmanager
def foreign_server(body: bytes) -> Iterator[str]:
    """A server of someone else, which streams these bytes one by one."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for at in range(len(body)):
            await send({"type": "http.response.body", "body": body[at : at + 1], "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    with serving(app) as url:
        yield url


async def test_a_foreign_stream_is_read_as_it_comes() -> None:
    chunk = {"choices": [{"delta": {"content": SEPARATORS}, "finish_reason": "stop"}]}
    data = f": hello\r\ndata: {json.dumps(chunk, ensure_ascii=False)}\r\n\r\ndata: [DONE]".encode()
    with foreign_server(data) as url:
        assert await answers_of_both(url, "any") == [SEPARATORS] * 2


@pytest.mark.parametrize("line", [b"<html>", b"{", b"5", b"\xff"])
async def test_a_foreign_line_that_is_not_json_is_told(line: bytes) -> None:
    with foreign_server(b"data: " + line + b"\n\n") as url:
        with Client(url) as client, pytest.raises(UserError, match="not a JSON object"):
            await asyncio.to_thread(client.answer, [{"role": "user", "content": "?"}], "any")
        async with AsyncClient(url) as twin:
            with pytest.raises(UserError, match="not a JSON object"):
                await twin.answer([{"role": "user", "content": "?"}], "any")


@pytest.mark.parametrize("stream", [False, True])
def test_when_the_client_goes_the_answer_ends(url: str, engine: FakeEngine, stream: bool) -> None:
    host, port = url.removeprefix("http://").split(":")
    body = json.dumps(chat("endless", stream=stream)).encode()
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer the-token\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        assert engine.going.wait(10)
        assert not engine.cancelled.is_set()
    assert engine.cancelled.wait(10)
    with Client(url, TOKEN) as client:  # and the next one has its turn
        assert client.answer([{"role": "user", "content": "?"}], "base").text == "Thirty days ✓"


def test_closing_the_iteration_ends_the_answer(url: str, engine: FakeEngine) -> None:
    with Client(url, TOKEN) as client:
        deltas = client.chat([{"role": "user", "content": "?"}], "endless")
        assert [next(deltas).text, next(deltas).text] == ["", "again "]
        deltas.close()  # type: ignore[attr-defined]
        assert engine.cancelled.wait(10)


async def test_cancelling_the_task_ends_the_answer(url: str, engine: FakeEngine) -> None:
    seen = asyncio.Event()

    async def ask() -> None:
        async with AsyncClient(url, TOKEN) as client:
            async for delta in client.chat([{"role": "user", "content": "?"}], "endless"):
                if delta.text:
                    seen.set()

    task = asyncio.create_task(ask())
    await asyncio.wait_for(seen.wait(), 10)
    task.cancel()
    assert await asyncio.to_thread(engine.cancelled.wait, 10)
    with pytest.raises(asyncio.CancelledError):
        await task


def test_one_answer_at_a_time_while_everything_else_is_served(url: str, engine: FakeEngine) -> None:
    with Client(url, TOKEN) as first:
        endless = first.chat([{"role": "user", "content": "?"}], "endless")
        next(endless)
        answers: list[str] = []

        def wait_in_line() -> None:
            with Client(url, TOKEN) as client:
                answers.append(client.answer([{"role": "user", "content": "?"}], "base").text)

        others = [threading.Thread(target=wait_in_line) for _ in range(5)]
        for other in others:
            other.start()
        with Client(url, TOKEN) as client:
            assert client.search("handbook", "days")
            assert client.health()["ok"]
            assert client.answer([{"role": "user", "content": "?"}], "remote").text == "Thirty days ✓"
        assert not answers
        endless.close()  # type: ignore[attr-defined]
        for other in others:
            other.join(10)
    assert answers == ["Thirty days ✓"] * 5
    assert engine.most_at_once == 2  # one here and the remote one


def test_a_server_that_is_not_there_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}") as client, pytest.raises(UserError, match="the server does not answer"):
        client.models()


def test_an_answer_without_an_end_is_not_taken_for_whole() -> None:
    with pytest.raises(UserError, match="broke off"):
        collect([Delta(), Delta("half an ans")])
