"""A remote server that speaks the OpenAI API (vLLM, Ollama, llama.cpp) in the place of a base model.

Retrieval and the grounded prompt are ours. It knows nothing of indexes; the key comes from the environment and goes
nowhere but into the header of a request.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

from workbench.chat.address import is_loopback
from workbench.chat.answer import Delta, Figures, Question
from workbench.chat.client import AsyncClient
from workbench.errors import UserError
from workbench.library.grounding import Passage, grounded_messages, new_nonce
from workbench.models.catalogue import catalogue
from workbench.settings import RemoteSettings, Settings

KEY = "WORKBENCH_API_KEY"
"""The environment variable with the key of a remote server that names none of its own."""
PATIENCE = 300.0
"""Seconds that a remote server may be silent."""
_FAMILIES = """
<|im_start|> <|im_end|> <|endoftext|> <|begin_of_text|> <|end_of_text|> <|eot_id|> <|eom_id|> <|start_header_id|>
<|end_header_id|> [INST] [/INST] <<SYS>> <</SYS>> <s> </s> <bos> <eos> <start_of_turn> <end_of_turn> <|user|>
<|assistant|> <|system|> <|end|> <think> </think> <\uff5cUser\uff5c> <\uff5cAssistant\uff5c>
<\uff5cend\u2581of\u2581sentence\uff5c> <|start|> <|channel|> <|message|> <|return|> <|call|> <tool_call> </tool_call>
<tool_response> [SYSTEM_PROMPT] [/SYSTEM_PROMPT] [TOOL_CALLS] [AVAILABLE_TOOLS] [TOOL_RESULTS] <|START_OF_TURN_TOKEN|>
<|END_OF_TURN_TOKEN|> <|start_of_role|> <|end_of_role|>
"""
CONTROL = tuple(_FAMILIES.split())
"""The control tokens of the families that such servers run: which of them this one has cannot be asked."""
_BLINK = 0.1  # seconds between two looks at whether the answer is still wanted


def key_for(url: str, variable: str = KEY) -> str | None:
    """The user's key, unless it would go over the network for everybody to read."""
    private = url.startswith("https:") or is_loopback(url)
    return os.environ.get(variable) or None if private else None


class Remote:
    """One remote model. For one thread at a time."""

    def __init__(self, url: str, model: str, key: str | None = None) -> None:
        """Opens no connection yet.

        Args:
            url: where it listens, with or without /v1 at the end.
            model: its name there.
            key: for the Authorization header.
        """
        self.model, self._key = model, key
        self._runner = asyncio.Runner()
        self._client = AsyncClient(url.rstrip("/").removesuffix("/v1"), key, patience=PATIENCE)

    @classmethod
    def from_settings(cls, name: str, remote: RemoteSettings) -> Remote:
        """The remote model `name` of the settings. Without `key_env` it is sent the general key on this machine only:
        one service is not told the key of another.

        Raises:
            UserError: its key is not in the environment, or would be sent in the clear.
        """
        key = key_for(remote.url, remote.key_env or KEY) if remote.key_env or is_loopback(remote.url) else None
        if remote.key_env and not os.environ.get(remote.key_env):
            raise UserError(
                f"the environment variable {remote.key_env} is not set",
                where=f"remotes.{name}",
                do="Set it, and start the workbench again.",
            )
        if remote.key_env and key is None:
            raise UserError("the key would be sent in the clear", where=f"remotes.{name}", do="Use an https:// url.")
        return cls(remote.url, remote.model, key)

    def close(self) -> None:
        """Let go of the connection."""
        self._runner.run(self._client.close())
        self._runner.close()

    def chat(
        self, messages: Sequence[dict[str, str]], cancelled: Callable[[], bool] = lambda: False, **options: Any
    ) -> Iterator[Delta]:
        """Ask; yields text as it comes, the figures last. Cancelling or closing the iteration ends the request.

        Args:
            messages: `{"role", "content"}`, as they are sent.
            cancelled: asked ten times a second, also while the server is silent; once true, the answer ends without
                figures.
            options: max_tokens, temperature, top_p, seed, stop.

        Raises:
            Refused: the server does not take the question as it is.
            UserError: it does not answer, or not as OpenAI does.
        """
        asked = self._client.chat(messages, self.model, stream_options={"include_usage": True}, **options)
        deltas = cast(AsyncGenerator[Delta], asked)
        loop, ended = self._runner.get_loop(), None
        try:
            while True:
                arriving = loop.create_task(anext(deltas, None))
                while not arriving.done():
                    loop.run_until_complete(asyncio.wait({arriving}, timeout=_BLINK))
                    if cancelled():
                        arriving.cancel()
                        loop.run_until_complete(asyncio.wait({arriving}))
                        return
                delta = arriving.result()
                if delta is None:
                    break
                if delta.figures:  # the tokens may be counted in a chunk of their own, after the last one
                    reason = (ended or delta.figures).finish_reason
                    ended = replace(delta.figures, finish_reason=reason)
                if delta.text:
                    yield Delta(delta.text)
        except UserError as error:
            raise self._told(error) from None
        finally:
            loop.run_until_complete(deltas.aclose())
        if ended is None:
            raise UserError("the remote server broke off in the middle of its answer", do="Ask again.")
        yield Delta(figures=ended)

    def _told(self, error: UserError) -> UserError:
        """In short lines, and without the key, which some servers repeat."""

        def short(text: str) -> str:
            text = " ".join(text.split())
            return (text.replace(self._key, "…") if self._key else text)[:300]

        where, do = (short(text) if text else text for text in (error.where, error.do))
        return type(error)(f"the remote server: {short(error.what)}", where=where, do=do)


class Remotes:
    """The remote models of the settings, by name. For one thread at a time."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[RemoteSettings, Remote]] = {}

    def get(self, name: str, settings: Settings) -> Remote | None:
        """The remote called `name`, None if it is none; see `Remote.from_settings` for the errors."""
        asked = settings.remotes.get(name)
        if asked is None:
            return None
        if name in catalogue():  # whoever asks for that model would not know that his passages go elsewhere
            raise UserError(
                f"{name} is a model of the catalogue", where=f"remotes.{name}", do="Call the remote model otherwise."
            )
        if name in self._held and self._held[name][0] != asked:
            self._held.pop(name)[1].close()
        if name not in self._held:
            self._held[name] = (asked, Remote.from_settings(name, asked))
        return self._held[name][1]


def answer(
    remote: Remote,
    question: Question,
    passages: Sequence[Passage],
    settings: Settings,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Delta]:
    """What a remote model answers to a question with these passages: text as it comes, the figures last.

    The prompt is the one that a local model is given, but that earlier turns are without their passages, and for its
    length, which only the remote server knows: what is too long, it refuses.
    """
    begun, first, pieces = time.perf_counter(), None, 0
    waited = time.monotonic() - question.asked_at
    defaults = settings.generation
    messages = grounded_messages(
        question.messages,
        passages,
        added_tokens=CONTROL,
        nonce=new_nonce(question.messages[-1]["content"]),
        system=settings.system_prompt if question.system is None else question.system,
    )
    options = {
        "max_tokens": question.max_tokens or defaults.max_new_tokens,
        "temperature": defaults.temperature if question.temperature is None else question.temperature,
        "top_p": defaults.top_p if question.top_p is None else question.top_p,
        "seed": question.seed,
        "stop": list(question.stop) or None,
    }
    for delta in remote.chat(messages, cancelled, **options):
        now = time.perf_counter()
        if delta.figures is None:
            first = first or now
            pieces += 1
            yield delta
            continue
        told, first = delta.figures, first or now
        tokens = told.completion_tokens or pieces
        speed = (tokens - 1) / (now - first) if tokens > 1 and now > first else None
        yield Delta(
            figures=Figures(told.prompt_tokens, tokens, first - begun, speed, waited, finish_reason=told.finish_reason)
        )
