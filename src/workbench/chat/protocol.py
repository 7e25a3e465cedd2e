"""The wire: what requests look like (OpenAI's names), and answers as OpenAI's JSON with our fields beside theirs.

Our fields are `citations`, `not_in_library` and `cut` in the first chunk of a stream (in the body, if not streamed),
and the timings of `Figures` in the last one. OpenAI's clients pass them on (`model_extra`).
"""

from __future__ import annotations

import base64
import re
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from workbench.chat.answer import LONGEST_QUERY, Delta, Figures, TooLong, UnknownModel
from workbench.errors import UserError
from workbench.library.filters import Filter, make

if TYPE_CHECKING:
    import numpy as np

_HALF = re.compile("[\ud800-\udfff]")


def _whole(text: str) -> str:
    if _HALF.search(text):
        raise ValueError("holds half of a surrogate pair, which is no character")
    return text


Text = Annotated[str, AfterValidator(_whole)]
"""A string that every tokenizer takes: JSON can write halves of characters."""
ModelName = Annotated[Text, Field(min_length=1, max_length=1024)]
MOST_MESSAGES = 4096
"""Messages of a chat at most."""
_FAULTS_TOLD = 8
_HARMLESS: dict[str, tuple[Any, ...]] = {
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "modalities": (["text"],),
    "audio": (),
    "web_search_options": (),
}
"""OpenAI's parameters that are not served, with the values that ask for nothing: any other value is refused, as an
answer that does without what was asked for would mislead. Parameters that are not named here are passed over."""


class _Request(BaseModel):
    # Clients send much that we need not know.
    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True, allow_inf_nan=False)


class ChatMessage(_Request):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Text
    """Text; a list of text parts is joined."""

    @field_validator("content", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        texts = [part.get("text") for part in value if isinstance(part, dict) and part.get("type") == "text"]
        strings = [text for text in texts if isinstance(text, str)]
        if len(strings) != len(value):
            raise ValueError("only text parts are understood")
        return "\n".join(strings)

    def plain(self) -> dict[str, str]:
        """As the engine takes it."""
        return {"role": "system" if self.role == "developer" else self.role, "content": self.content}


class StreamOptions(_Request):
    """What a stream should carry besides text."""

    include_usage: bool = False


class ChatRequest(_Request):
    """POST /v1/chat/completions."""

    model: ModelName
    """The name of a hybrid."""
    messages: list[ChatMessage] = Field(min_length=1, max_length=MOST_MESSAGES)
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stop: list[Text] = Field([], max_length=16)
    """The answer ends before any of these; one may come without a list."""
    n: Literal[1] | None = None
    top_k: int | None = Field(None, ge=1, le=50)
    """Not OpenAI's: passages given to the model; default: the workspace's setting."""
    min_similarity: float | None = Field(None, ge=-1, le=1)
    """Not OpenAI's: cosine below which nothing that is found is given to the model; default: the workspace's."""
    tools: Any = None
    tool_choice: Any = None
    functions: Any = None
    function_call: Any = None
    response_format: Any = None
    logprobs: Any = None
    top_logprobs: Any = None
    logit_bias: Any = None
    presence_penalty: Any = None
    frequency_penalty: Any = None
    modalities: Any = None
    audio: Any = None
    web_search_options: Any = None

    @field_validator("stop", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else [] if value is None else value

    @field_validator("stream", mode="before")
    @classmethod
    def _not_streamed(cls, value: Any) -> Any:
        return False if value is None else value

    @field_validator(*_HARMLESS)
    @classmethod
    def _not_served(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and value not in _HARMLESS[str(info.field_name)]:
            raise ValueError("not supported by this server; leave it out")
        return value

    @field_validator("messages")
    @classmethod
    def _turns(cls, messages: list[ChatMessage]) -> list[ChatMessage]:
        if messages[-1].role != "user":
            raise ValueError("the last message must be the user's")
        if any(message.role in ("system", "developer") for message in messages[1:]):
            raise ValueError("only the first message can be the system's")
        return messages


class EmbeddingRequest(_Request):
    """POST /v1/embeddings."""

    model: ModelName
    input: list[Text] = Field(min_length=1, max_length=2048)
    """Texts; one text may come without a list."""
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: None = None

    @field_validator("input", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("dimensions", mode="before")
    @classmethod
    def _whole_vectors(cls, value: Any) -> Any:
        if value is not None:
            raise ValueError("not supported by this server; leave it out")
        return value


class LoadRequest(_Request):
    """POST /v1/load: have a hybrid ready before it is asked."""

    model: ModelName


class SearchRequest(_Request):
    """POST /v1/search."""

    index: Text
    query: Text = Field(max_length=LONGEST_QUERY)
    k: int = Field(5, ge=1, le=1000)
    mode: Literal["fused", "dense", "lexical"] = "fused"
    within: list[str] = Field([], max_length=100)
    """Folders, files or patterns that are looked in; empty: all."""
    types: list[str] = Field([], max_length=100)
    """Endings of file names that are looked in, as "pdf"; empty: all."""
    since: str | None = None
    """Files modified on this day or later, YYYY-MM-DD."""
    until: str | None = None
    """Files modified on this day or before, YYYY-MM-DD."""

    def filter(self) -> Filter:
        """The documents that are looked in.

        Raises:
            UserError: a day is not written so.
        """
        return make(self.within, self.types, self.since, self.until)


class ChatWriter:
    """Writes one answer, as chunks of a stream or as a whole."""

    def __init__(self, model: str) -> None:
        self._head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}

    def chunk(self, delta: Delta, *, first: bool) -> dict[str, Any]:
        """One chunk of a stream."""
        content: dict[str, Any] = {"content": delta.text}
        if first:
            content["role"] = "assistant"
        chunk = {
            **self._head,
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": content, "logprobs": None, "finish_reason": None}],
        }
        if first:
            chunk.update(opening(delta))
        if delta.figures:
            chunk["choices"][0]["finish_reason"] = delta.figures.finish_reason
            chunk.update(timings(delta.figures), usage=usage(delta.figures))
        return chunk

    def usage_chunk(self, figures: Figures) -> dict[str, Any]:
        """The chunk without choices that `stream_options: {include_usage: true}` asks for."""
        return {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": usage(figures)}

    def whole(self, deltas: Sequence[Delta]) -> dict[str, Any]:
        """The body of an answer that is not streamed."""
        figures = deltas[-1].figures or Figures()
        message = {"role": "assistant", "content": "".join(delta.text for delta in deltas)}
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": figures.finish_reason}],
            "usage": usage(figures),
            **opening(deltas[0]),
            **timings(figures),
        }


def opening(delta: Delta) -> dict[str, Any]:
    """Our fields of an answer's beginning."""
    return {
        "citations": [asdict(citation) for citation in delta.citations],
        "not_in_library": delta.not_in_library,
        "cut": asdict(delta.cut) if delta.cut else None,
    }


def timings(figures: Figures) -> dict[str, Any]:
    """Our fields of an answer's end."""
    return {
        "seconds_to_first_token": figures.seconds_to_first_token,
        "tokens_per_second": figures.tokens_per_second,
        "seconds_waited": figures.seconds_waited,
        "cached_tokens": figures.cached_tokens,
        "path": figures.path,
    }


def usage(figures: Figures) -> dict[str, Any]:
    """OpenAI's count of tokens."""
    return {
        "prompt_tokens": figures.prompt_tokens,
        "completion_tokens": figures.completion_tokens,
        "total_tokens": figures.prompt_tokens + figures.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": figures.cached_tokens},
    }


def embeddings(model: str, vectors: np.ndarray, tokens: int, encoding: str) -> dict[str, Any]:
    """The body of /v1/embeddings; base64 is little-endian float32, as OpenAI's client asks for by default."""

    def written(vector: np.ndarray) -> list[float] | str:
        return base64.b64encode(vector.astype("<f4").tobytes()).decode() if encoding == "base64" else vector.tolist()

    return {
        "object": "list",
        "model": model,
        "data": [
            {"object": "embedding", "index": index, "embedding": written(vector)}
            for index, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def models(names: Sequence[str]) -> dict[str, Any]:
    """The body of /v1/models."""
    return {"object": "list", "data": [model(name) for name in names]}


def model(name: str) -> dict[str, Any]:
    """The body of /v1/models/NAME."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "workbench"}


def error(
    message: str, *, kind: str = "invalid_request_error", code: str | None = None, param: str | None = None
) -> dict[str, Any]:
    """OpenAI's form of an error; `param` is the field of the request that is at fault."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def user_error(problem: UserError) -> tuple[int, dict[str, Any]]:
    """The HTTP status and the body of a user's mistake: whole for people, and in its parts for our client."""
    status, code, param = 400, None, None
    if isinstance(problem, UnknownModel):
        status, code, param = 404, "model_not_found", "model"
    if isinstance(problem, TooLong):
        code, param = "context_length_exceeded", "messages"
    body = error(str(problem), code=code, param=param)
    body["error"].update(what=problem.what, where=problem.where, do=problem.do)
    return status, body


def invalid(faults: Sequence[Any]) -> dict[str, Any]:
    """The body that refuses a request whose form is wrong: all faults, as pydantic names them, the first as `param`."""
    if faults[0]["type"] == "json_invalid":
        return error("body: not valid JSON", code="invalid_request")
    if not faults[0]["loc"][1:]:
        return error("body: send a JSON object, with `content-type: application/json`", code="invalid_request")
    told = {}
    for fault in faults:
        told.setdefault(".".join(map(str, fault["loc"][1:])), fault["msg"].removeprefix("Value error, "))
    shown = [f"{field}: {reason}" for field, reason in list(told.items())[:_FAULTS_TOLD]]
    if len(told) > len(shown):
        shown.append(f"and {len(told) - len(shown):,} more faults")
    return error("; ".join(shown), code="invalid_request", param=next(iter(told)))
