"""The programs that other people have: the `openai` client, `llm` and curl, on a real server with a tiny model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest

from workbench.workspace import Workspace, init

LONG = 400  # tokens: so long an answer takes the tiny model a noticeable time


@dataclass
class Served:
    """A workspace with the tiny model, served by `workbench serve`."""

    workspace: Workspace
    base: str
    url: str
    token: str
    openai: openai.OpenAI

    def ask(self, text: str, **options: Any) -> Any:
        options = {"max_tokens": 8, "model": self.base, **options}
        return self.openai.chat.completions.create(messages=[{"role": "user", "content": text}], **options)

    def curl(self, path: str, *arguments: str, token: str | None = None) -> tuple[int, Any]:
        """curl's status and body."""
        authorized = ["-H", f"Authorization: Bearer {token or self.token}"]
        done = subprocess.run(
            ["curl", "-sS", "-m", "60", "-w", "\n%{http_code}", *authorized, *arguments, self.url + path],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        body, _, status = done.stdout.rpartition("\n")
        return int(status), json.loads(body) if body.startswith("{") else body


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("open")
    workspace = init(folder / "workspace")
    shutil.copytree(tiny_base, workspace.root / "tiny")
    base = str(workspace.root / "tiny")
    (workspace.configs / "settings.yaml").write_text(f"base_model: {json.dumps(base)}\n", encoding="utf-8")
    executable = Path(sys.executable).with_name("workbench")
    environment = {**os.environ, "WORKBENCH_STATE": str(folder / "state")}
    process = subprocess.Popen(
        [executable, "serve", "--json"], cwd=workspace.root, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    token = json.loads(Path(told["token_file"]).read_text())["token"]
    client = openai.OpenAI(base_url=f"{told['url']}/v1", api_key=token, max_retries=0, timeout=60)
    served = Served(workspace, base, told["url"], token, client)
    served.ask("Hello")  # the weights are loaded
    yield served
    process.terminate()
    process.wait(30)


# The openai client


def test_it_lists_the_models_and_finds_one(served: Served) -> None:
    assert [model.id for model in served.openai.models.list()] == [served.base]
    assert served.openai.models.retrieve(served.base).id == served.base
    with pytest.raises(openai.NotFoundError, match="there is no model"):
        served.openai.models.retrieve("gpt-9")


def test_a_stream_says_what_the_whole_answer_says_and_what_it_took(served: Served) -> None:
    whole = served.ask("What is a ferry?", max_completion_tokens=12, max_tokens=None)
    *chunks, last = served.ask("What is a ferry?", max_tokens=12, stream=True, stream_options={"include_usage": True})
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason == "length"
    assert (last.choices, last.usage) == ([], whole.usage)
    assert whole.usage.completion_tokens == 12
    assert all(chunk.choices for chunk in served.ask("What is a ferry?", stream=True))  # no usage unasked


def test_parts_of_text_seeds_and_stop_strings(served: Served) -> None:
    parts = [{"type": "text", "text": "What is"}, {"type": "text", "text": "a ferry?"}]
    create: Any = served.openai.chat.completions.create
    asked = create(model=served.base, messages=[{"role": "user", "content": parts}], max_tokens=12)
    whole = asked.choices[0].message.content
    assert whole == served.ask("What is\na ferry?", max_tokens=12).choices[0].message.content
    stopped = served.ask("What is\na ferry?", max_tokens=12, stop=[whole[4:7], "never said"])
    assert stopped.choices[0].message.content == whole[: whole.index(whole[4:7])]
    drawn = [served.ask("?", temperature=1.5, seed=seed).choices[0].message.content for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"logprobs": True, "top_logprobs": 3}, "logprobs"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"presence_penalty": 1}, "presence_penalty"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"stop": [1]}, "stop.0"),
        ({"stop": [str(number) for number in range(17)]}, "stop"),
        ({"stream": "perhaps"}, "stream"),
        ({"seed": 2**80}, "seed"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(served: Served, options: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        served.ask("?", **options)
    assert caught.value.param == param
    assert param in caught.value.message


def test_what_asks_for_nothing_and_what_is_unknown_is_passed_over(served: Served) -> None:
    harmless = {"n": 1, "tools": [], "response_format": {"type": "text"}, "logprobs": False, "presence_penalty": 0}
    answer = served.ask("Hello", **harmless, user="me", extra_body={"min_p": 0.1, "cache_prompt": True, "stop": None})
    assert answer.choices[0].message.content == served.ask("Hello").choices[0].message.content


def test_a_prompt_that_is_too_long_is_refused(served: Served) -> None:
    with pytest.raises(
        openai.BadRequestError, match=r"the question has [\d,]+ tokens, and the model has room"
    ) as caught:
        served.ask("ferry " * 5000)
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "messages")
    create: Any = served.openai.chat.completions.create
    turns = [{"role": role, "content": "ferry " * 20} for role in ("user", "assistant") * 500]
    answer = create(model=served.base, messages=[*turns, {"role": "user", "content": "Hello"}], max_tokens=2)
    assert answer.model_extra["cut"]["turns"] > 800  # old turns are left out, and this is told


def test_errors_have_types(served: Served) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        served.openai.with_options(api_key="wrong").models.list()
    assert caught.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as unknown:
        served.ask("?", model="nobody-knows-it")
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as embedding:
        served.openai.embeddings.create(model="all-minilm-l6-v2", input=[[1, 2]])
    assert embedding.value.param == "input.0"
    with pytest.raises(openai.BadRequestError, match="dimensions"):
        served.openai.embeddings.create(model="all-minilm-l6-v2", input="x", dimensions=8)


def test_eight_at_once_are_not_mixed_up(served: Served) -> None:
    questions = [f"Tell me of ferry number {number}, and of {'its dogs ' * number}." for number in range(8)]

    def answer(question: str) -> tuple[str, int]:
        chunks = list(served.ask(question, max_tokens=24, stream=True, stream_options={"include_usage": True}))
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]), chunks[-1].usage.prompt_tokens

    one_by_one = [answer(question) for question in questions]
    assert len(set(one_by_one)) == 8
    with ThreadPoolExecutor(8) as eight:
        assert list(eight.map(answer, questions)) == one_by_one


def test_who_leaves_frees_the_model_at_once(served: Served) -> None:
    begun = time.perf_counter()
    served.ask("What is a ferry?", max_tokens=LONG)
    whole = time.perf_counter() - begun
    stream = served.ask("What is a ferry?", max_tokens=LONG, stream=True)
    for _ in range(3):
        next(stream)
    stream.close()
    next_one = served.ask("Hello", max_tokens=1)
    assert next_one.model_extra["seconds_waited"] < max(0.1, whole / 5)


# llm


def test_llm_asks_it(served: Served, tmp_path: Path) -> None:
    models = [{"model_id": "mine", "model_name": served.base, "api_base": f"{served.url}/v1", "api_key_name": "mine"}]
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps(models))
    (tmp_path / "keys.json").write_text(json.dumps({"mine": served.token}))
    environment = {**os.environ, "LLM_USER_PATH": str(tmp_path)}
    expected = served.ask("What is a ferry?", max_tokens=8).choices[0].message.content

    def llm(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "llm", "prompt", "-m", "mine", "-o", "max_tokens", "8", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)

    streamed = llm("-o", "temperature", "0", "--usage", "What is a ferry?")
    assert streamed.returncode == 0, streamed.stderr
    assert streamed.stdout.strip() == expected.strip()
    assert "8 output" in streamed.stderr
    refused = llm("--no-stream", "-o", "logit_bias", '{"5": 10}', "What is a ferry?")
    assert refused.returncode == 1
    assert "logit_bias: not supported by this server" in refused.stderr


# curl


def test_curl_asks_it(served: Served) -> None:
    body = {"model": served.base, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
    json_header = ("-H", "Content-Type: application/json")
    status, answer = served.curl("/v1/chat/completions", *json_header, "-d", json.dumps(body))
    assert (status, answer["usage"]["completion_tokens"]) == (200, 4)
    status, stream = served.curl("/v1/chat/completions", "-N", *json_header, "-d", json.dumps({**body, "stream": True}))
    assert status == 200
    assert stream.rstrip().endswith("data: [DONE]")
    for arguments, told in {
        ("-d", json.dumps(body)): "content-type: application/json",  # curl calls it a form
        (*json_header, "-d", "{half"): "not valid JSON",
        (*json_header, "-d", "[1]"): "JSON object",
        (*json_header, "-d", '{"messages": 5}'): "model",
    }.items():
        status, refused = served.curl("/v1/chat/completions", *arguments)
        assert (status, refused["error"]["type"]) == (400, "invalid_request_error")
        assert told in refused["error"]["message"]


def test_curl_sees_plain_http(served: Served) -> None:
    status, refused = served.curl("/v1/models", "-D", "-", token="wrong")
    assert status == 401
    assert "www-authenticate: Bearer" in refused
    assert '"code": "invalid_api_key"' in refused
    status, told = served.curl("/health", "-I")
    assert status == 200
    assert told.count("\n") > 2
    status, told = served.curl("/v1/models", "-X", "OPTIONS", "-D", "-")
    assert status == 405
    assert "allow: " in told.lower()
    assert served.curl("/v1/models/")[0] == served.curl("/v1/nothing")[0] == 404
    assert served.curl("/v1/models", "-H", "Host: evil.example")[0] == 421
    assert served.curl(f"/v1/models/{served.base}")[1]["id"] == served.base
