"""Arms that a remote server answers: stopping, refusals, and who is told the user's key."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from workbench.chat.remote import key_for
from workbench.compare.answering import Answerer
from workbench.compare.question import Question
from workbench.compare.spec import Arm, Spec
from workbench.errors import UserError
from workbench.workspace import Workspace


class FakeRemote(BaseHTTPRequestHandler):
    """Answers "forty two" word by word; refuses what is long, is out of order for what is broken."""

    seen: list[dict[str, str]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        asked = body["messages"][-1]["content"]
        self.seen.append({"asked": asked, "first": body["messages"][0]["role"], "key": self.headers["authorization"]})
        if asked in ("long", "broken"):
            self.send_response(400 if asked == "long" else 500)
            self.end_headers()
            self.wfile.write(b'{"error": {"message": "maximum context length exceeded"}}')
            return
        self.send_response(200)
        self.end_headers()
        for text, reason in (("forty ", None), ("two", None), ("", "stop")):
            chunk = {"choices": [{"delta": {"content": text}, "finish_reason": reason}]}
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def remote() -> Iterator[str]:
    FakeRemote.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeRemote)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def answerer(tmp_path: Path, url: str) -> tuple[Answerer, Arm]:
    arm = Arm(name="big", hybrid="big-model", url=url)
    spec = Spec(arms=(arm,), system_prompt="Be brief.", pinned={"min_similarity": 0.25, "top_p": 1.0})
    return Answerer(Workspace(tmp_path), spec), arm


def asked(text: str) -> Question:
    return Question(messages=({"role": "user", "content": text},), answers=("forty two",))


def test_a_remote_model_is_asked_as_the_others_are(
    tmp_path: Path, remote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_API_KEY", "secret")
    monkeypatch.setenv("OPENAI_API_KEY", "somebody else's")
    asks, arm = answerer(tmp_path, remote)
    answer = asks.ask(0, asked("what?"), arm)
    assert answer is not None
    assert (answer.text, answer.scores["exact_match"]) == ("forty two", 1)
    assert FakeRemote.seen == [{"asked": "what?", "first": "system", "key": "Bearer secret"}]


def test_a_question_that_it_refuses_is_kept_as_such_and_a_fault_of_its_own_is_not(tmp_path: Path, remote: str) -> None:
    asks, arm = answerer(tmp_path, remote)
    refused = asks.ask(0, asked("long"), arm)
    assert refused is not None
    assert "maximum context length" in refused.figures["error"]
    with pytest.raises(UserError):
        asks.ask(0, asked("broken"), arm)


def test_it_can_be_stopped(tmp_path: Path, remote: str) -> None:
    asks, arm = answerer(tmp_path, remote)
    assert asks.ask(0, asked("what?"), arm, cancelled=lambda: True) is None


@pytest.mark.parametrize(
    ("url", "told"),
    [("https://api.example", True), ("http://127.0.0.1:8000", True), ("http://192.168.1.4:8000", False)],
)
def test_the_key_is_not_sent_in_the_clear(url: str, told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_API_KEY", "secret")
    assert (key_for(url) is not None) == told
