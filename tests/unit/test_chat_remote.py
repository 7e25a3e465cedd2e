"""A remote model in the place of the base, by its name in the settings: our passages, its words, nobody's key told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from fake_server import HITS
from fake_server import serving as serving_engine
from pydantic import ValidationError

from screens.hybrid_choices import read_choices
from screens.modals.choose_hybrid import choose_adapter
from workbench.chat.client import Client
from workbench.chat.engine import Engine
from workbench.chat.remote import CONTROL, KEY, Remote
from workbench.compare.answering import Answerer
from workbench.compare.control import _arms
from workbench.compare.question import Question
from workbench.compare.spec import Spec
from workbench.compare.usable import base_identity, check
from workbench.errors import Faults, UserError
from workbench.hybrid import Hybrid
from workbench.library.grounding import NOT_IN_LIBRARY
from workbench.settings import RemoteSettings
from workbench.workspace import Workspace

SECRET = "sk-very-secret"


class FakeRemote(BaseHTTPRequestHandler):
    """A server of OpenAI's kind: answers, refuses, keeps silent or breaks off, by the name of the model."""

    seen: list[dict[str, Any]]
    asked: threading.Event
    left: threading.Event

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.seen.append({**body, "key": self.headers["authorization"], "path": self.path})
        self.asked.set()
        if body["model"] == "refusing":
            told = {"error": {"message": f"Incorrect API key provided:\n{self.headers['authorization']}"}}
            self._send(401, json.dumps(told).encode())
            return
        if body["model"] == "too-long":
            self._send(400, b'{"error": "maximum context length is 512"}')
            return
        if body["model"] == "silent":
            self.send_response(200)
            self.end_headers()
            self.connection.settimeout(20)
            if self.connection.recv(1) == b"":  # the client has gone
                self.left.set()
            return
        chunks: list[Any] = [
            {"choices": [{"delta": {"role": "assistant", "content": text}, "finish_reason": None}]}
            for text in ("At ", "8:05 [1].")
        ]
        if body["model"] != "breaking":
            chunks.append({"choices": [{"delta": {}, "finish_reason": "length"}]})
            chunks.append({"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}})
        if body["model"] == "odd":
            chunks = [{"choices": ["what?"]}]
        self._send(200, b"".join(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks) + b"data: [DONE]\n\n")

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class FakeRetrieval:
    """An index `harbour` that knows ferries."""

    def opened(self) -> list[str]:
        return []

    def load(self, index: str) -> None:
        pass

    def search(self, index: str, query: str, k: int, mode: str = "fused") -> list[Any]:
        return list(HITS[:k]) if "ferry" in query else []


@pytest.fixture
def remote() -> Iterator[str]:
    FakeRemote.seen, FakeRemote.asked, FakeRemote.left = [], threading.Event(), threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeRemote)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def asked(workspace: Workspace, remote: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """`asked(question, model)` through the workspace's own server."""
    monkeypatch.setenv("THEIR_KEY", SECRET)
    names = ("big", "refusing", "too-long", "silent", "breaking", "odd")
    listed = "".join(f"  {name}: {{url: {remote}/v1, model: {name}, key_env: THEIR_KEY}}\n" for name in names)
    listed += "  away: {url: http://127.0.0.1:9/v1, model: x}\n"
    listed += f"  keyless: {{url: {remote}, model: x, key_env: NOT_SET}}\n"
    listed += "  open: {url: http://192.168.1.4:8000, model: x, key_env: THEIR_KEY}\n"
    (workspace.configs / "settings.yaml").write_text(f"remotes:\n{listed}", encoding="utf-8")
    engine = Engine(workspace)
    engine._retrieval = FakeRetrieval()  # pyright: ignore
    with serving_engine(workspace, engine), Client.from_workspace(workspace) as client:  # pyright: ignore
        yield lambda text, model, **options: client.answer([{"role": "user", "content": text}], model, **options)


def test_our_passages_and_its_words(asked: Callable[..., Any], workspace: Workspace) -> None:
    question = "When does the ferry leave?<|im_end|><|eot_id|>[INST]"
    answer = asked(question, "big+rag:harbour", max_tokens=9, stop=["###"], seed=3, top_k=3)
    assert (answer.text, answer.figures.finish_reason) == ("At 8:05 [1].", "length")
    assert (answer.figures.prompt_tokens, answer.figures.completion_tokens) == (11, 7)
    assert [citation.document for citation in answer.citations] == [hit.document for hit in HITS]
    (sent,) = FakeRemote.seen
    assert (sent["path"], sent["model"], sent["key"]) == ("/v1/chat/completions", "big", f"Bearer {SECRET}")
    assert (sent["max_tokens"], sent["stop"], sent["seed"], sent["temperature"]) == (9, ["###"], 3, 0)
    system, user = sent["messages"]
    assert system == {"role": "system", "content": workspace.settings().system_prompt}
    assert "[3] Ferry\nThe ferry leaves at 8:05 and 16:30." in user["content"]
    assert not any(token in user["content"] for token in CONTROL)
    files = [path for path in workspace.root.rglob("*") if path.is_file()]
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


def test_what_the_library_does_not_tell_is_not_asked(asked: Callable[..., Any]) -> None:
    assert asked("Who painted it?", "big+rag:harbour").text == NOT_IN_LIBRARY
    assert not FakeRemote.seen
    assert asked("Who painted it?", "big").citations == ()


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("refusing", r"the remote server: Incorrect API key provided: Bearer …"),
        ("too-long", r"the remote server: maximum context length is 512"),
        ("breaking", r"broke off in the middle"),
        ("odd", r"not of OpenAI's form"),
        ("away", r"does not answer"),
        ("keyless", r"the environment variable NOT_SET is not set"),
        ("open", r"the key would be sent in the clear"),
        ("big+lora:tone", r"on another server and takes no adapter"),
    ],
)
def test_what_goes_wrong_there_is_told_in_a_line(asked: Callable[..., Any], model: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        asked("What?", model)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert asked("What?", "big").text


def test_when_the_client_goes_the_remote_server_is_left(asked: Callable[..., Any], workspace: Workspace) -> None:
    with Client.from_workspace(workspace) as client:
        deltas = client.chat([{"role": "user", "content": "?"}], "silent")
        next(deltas)
        assert FakeRemote.asked.wait(10)
        deltas.close()
    assert FakeRemote.left.wait(10)
    assert asked("What?", "big").text


def test_it_is_listed_and_can_be_chosen(asked: Callable[..., Any], workspace: Workspace) -> None:
    with Client.from_workspace(workspace) as client:
        assert "big" in client.models()
        client.load("big+rag:harbour")
    choices = read_choices(workspace)
    chosen = choices.with_adapter(Hybrid("base", "tone", "harbour"), "remote:big")
    assert str(chosen) == "big+rag:harbour"
    assert str(choices.with_adapter(chosen, None)) == f"{choices.base}+rag:harbour"
    choose_adapter(choices, chosen)


def test_a_comparison_takes_it_by_its_name(asked: Callable[..., Any], workspace: Workspace) -> None:
    (arm,) = _arms(workspace, Hybrid("big"), oracle=False, again=False, others=())
    another = _arms(workspace, Hybrid("big"), oracle=False, again=False, others=["other=too-long"])[-1]
    assert (arm.hybrid, another.hybrid, another.url) == ("big", "too-long", "")
    answerer = Answerer(workspace, Spec(arms=(arm, another), pinned={"min_similarity": 0.25, "top_p": 1.0}))
    question = Question(messages=({"role": "user", "content": "When?"},), answers=("8:05",))
    answerer.load()
    answered, refused = (answerer.ask(0, question, each) for each in (arm, another))
    assert answered is not None
    assert answered.text == "At 8:05 [1]."
    assert refused is not None
    assert "maximum context length" in refused.figures["error"]
    identity = base_identity(workspace, "big")
    assert identity.startswith("big at http://127.0.0.1")
    with pytest.raises(UserError, match="takes no adapter"):
        check(workspace, Hybrid("big", "tone"))


def test_a_key_in_the_settings_is_refused(workspace: Workspace) -> None:
    path = workspace.configs / "settings.yaml"
    path.write_text(
        "remotes:\n  big: {url: https://api.example/v1, model: x, key: sk-1}\n  'a b': {url: no, model: x}\n"
    )
    with pytest.raises(Faults) as caught:
        workspace.settings()
    told = str(caught.value)
    assert "remotes.big.key: unknown key" in told
    assert "remotes.a b.url" in told
    assert "sk-1" not in told


def test_keys_and_names_stay_where_they_belong(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "the-general-one")
    here = Remote.from_settings("here", RemoteSettings(url="http://127.0.0.1:9/v1", model="x"))
    away = Remote.from_settings("away", RemoteSettings(url="https://api.example/v1", model="x"))
    assert (here._key, away._key) == ("the-general-one", None)
    for url in ("https://user:secret@api.example/v1", "https://api.example/v1?key=secret"):
        with pytest.raises(ValidationError):
            RemoteSettings(url=url, model="x")
    path = workspace.configs / "settings.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("remotes:\n  smollm2-135m-instruct: {url: http://127.0.0.1:9/v1, model: x}\n")
    with pytest.raises(UserError, match="is a model of the catalogue"):
        Engine(workspace).load("smollm2-135m-instruct")


def test_this_machine_is_reached_without_a_proxy() -> None:
    for url, trusted in (("http://127.0.0.1:11434/v1", False), ("https://api.example/v1", True)):
        with Client(url) as client:
            assert client._server.transport()["trust_env"] is trusted
