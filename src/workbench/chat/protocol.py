"""The wire: what requests look like (OpenAI's names), and answers as OpenAI's JSON with our fields beside theirs.

Our fields are `citations`, `not_in_library` and `cut` in the first chunk of a stream (in the body, if not streamed),
and the timings of `Figures` in the last one. OpenAI's clients pass them on (`model_extra`).
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from workbench.chat.answer import Delta, Figures
from workbench.errors import UserError

if TYPE_CHECKING:
    import numpy as np


class _Request(BaseModel):
    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)  # clients send much that we need not know


class ChatMessage(_Request):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str
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

    model: str
    """The name of a hybrid."""
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stop: list[str] = []
    n: Literal[1] | None = None
    tools: None = None
    top_k: int | None = Field(None, ge=1, le=50)
    """Not OpenAI's: passages given to the model; default: the workspace's setting."""

    @field_validator("stop", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value or []

    @field_validator("tools", mode="before")
    @classmethod
    def _no_tools(cls, value: Any) -> None:
        if value:
            raise ValueError("tools are not supported")

    @model_validator(mode="after")
    def _turns(self) -> ChatRequest:
        if self.messages[-1].role != "user":
            raise ValueError("the last message must be the user's")
        if any(message.role in ("system", "developer") for message in self.messages[1:]):
            raise ValueError("only the first message can be the system's")
        return self


class EmbeddingRequest(_Request):
    """POST /v1/embeddings."""

    model: str
    input: list[str] = Field(min_length=1, max_length=2048)
    """Texts; one text may come without a list."""
    encoding_format: Literal["float", "base64"] = "float"

    @field_validator("input", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class SearchRequest(_Request):
    """POST /v1/search."""

    index: str
    query: str
    k: int = Field(5, ge=1, le=1000)
    mode: Literal["fused", "dense", "lexical"] = "fused"


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
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "workbench"} for name in names]
    return {"object": "list", "data": data}


def error(message: str, *, kind: str = "invalid_request_error", code: str | None = None) -> dict[str, Any]:
    """OpenAI's form of an error."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def user_error(problem: UserError, *, code: str | None = None) -> dict[str, Any]:
    """A user's mistake, whole for people and in its parts for our client."""
    body = error(str(problem), code=code)
    body["error"].update(what=problem.what, where=problem.where, do=problem.do)
    return body
