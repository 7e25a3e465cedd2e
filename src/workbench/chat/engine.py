"""The engine of the server: a question to a hybrid becomes a stream of answer. It knows nothing of HTTP."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil

from workbench.chat.answer import Citation, Delta, Figures, Least, Question, UnknownModel
from workbench.chat.remote import Remotes
from workbench.chat.remote import answer as remote_answer
from workbench.chat.retrieval import Retrieval
from workbench.errors import UserError
from workbench.hybrid import Hybrid
from workbench.library.grounding import NOT_IN_LIBRARY, new_nonce
from workbench.library.ranking import best_fit
from workbench.models.adapter import adapters
from workbench.settings import Settings
from workbench.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

    from workbench.chat.copies import Copies, Copy
    from workbench.chat.generation import Sampling
    from workbench.chat.remote import Remote
    from workbench.library.filters import Filter
    from workbench.library.grounding import Passage
    from workbench.library.search import Hit

_ASKING = frozenset(
    re.findall(
        r"\w+",
        "what when where which whose about does have there this that these those with from many much long then"
        " really sure please more again tell explain else also mean",
    )
)
"""Words of a question that say nothing of its subject."""


_LONGEST_TOKEN = 8  # characters: few tokens of a prompt are longer in the mean


class Engine:
    """Loads the base model, adapters and indexes of a workspace when they are asked for, and answers with them.

    `answer` and `load` are for one thread at a time; everything else may be called beside them.
    """

    def __init__(self, workspace: Workspace, *, room: int | None = None) -> None:
        """An engine of a workspace.

        Args:
            workspace: whose runs, indexes and settings.
            room: bytes that weights may take; None: see `workbench.chat.copies`.
        """
        self._workspace = workspace
        self._room = room
        self._retrieval = Retrieval(workspace)
        self._remotes = Remotes()
        self._copies: Copies | None = None  # its module imports torch, which takes seconds
        self._at_work = 0
        self._loading: str | None = None
        self._last: Figures | None = None
        self._settings_read: tuple[object, Settings] | None = None
        self._lock = threading.Lock()

    def follow(self) -> None:
        """Keep the workspace's indexes in step with their folders from now on, in a thread of its own."""
        from workbench.chat.following import Following

        Following(self._workspace, self._retrieval).start()

    def models(self) -> list[str]:
        """The names of all hybrids of the workspace: every base, with and without its adapters and the indexes, and
        every remote model, with and without the indexes."""
        from workbench.library.catalogue import indexes

        tuned = [(adapter.model, adapter.run) for adapter in adapters(self._workspace)]
        settings = self._settings()
        bases = dict.fromkeys([settings.base_model, *(base for base, _ in tuned), *settings.remotes])
        models = [*((base, None) for base in bases), *tuned]
        names = [None, *(index.name for index in indexes(self._workspace))]
        return [str(Hybrid(base, run, index)) for base, run in models for index in names]

    def status(self) -> dict[str, object]:
        """For a status line: what is loaded or being loaded, who computes with it (lean or transformers), the bytes
        that weights, kept beginnings of prompts and the whole process take, and the speed of the last answer."""
        loaded = self._copies.loaded() if self._copies else {}
        return {
            "base_model": self._settings().base_model,
            "loaded": list(loaded),
            "loading": self._loading,
            "paths": loaded,
            "memory": self._copies.memory() if self._copies else {},
            "memory_bytes": psutil.Process().memory_info().rss,
            "indexes": self._retrieval.opened(),
            "busy": self._at_work > 0,
            "tokens_per_second": self._last.tokens_per_second if self._last else None,
            "seconds_to_first_token": self._last.seconds_to_first_token if self._last else None,
        }

    def is_remote(self, model: str) -> bool:
        """Whether another server computes the answers of a hybrid."""
        return model.partition("+")[0] in self._settings().remotes

    def load(self, model: str) -> None:
        """Have a hybrid ready; see `answer` for the errors."""
        with self._working():
            hybrid = _parse(model)
            if self._remote(hybrid) is None:
                self._loaded(hybrid)
            elif hybrid.rag:
                self._retrieval.load(hybrid.rag)

    def search(self, index: str, query: str, k: int, mode: str, filter: Filter | None = None) -> list[Hit]:
        """The k best passages of an index; see `Retrieval.search`."""
        return self._retrieval.search(index, query, k, mode, filter)

    def embed(self, model: str, texts: Sequence[str]) -> tuple[np.ndarray, int]:
        """Vectors [n, d] of texts and the number of their tokens; see `Retrieval.embed`."""
        return self._retrieval.embed(model, texts)

    def answer(self, question: Question, cancelled: Callable[[], bool] = lambda: False) -> Iterator[Delta]:
        """Answer a question: citations first, then text as it comes, the figures last.

        Args:
            question: to a hybrid; what it leaves open the settings say.
            cancelled: asked at every token; once true, the answer ends without figures.

        Raises:
            UnknownModel: there is no such hybrid here.
            UserError: something of it is damaged, or the question is too long for it.
        """
        with self._working():
            yield from self._answer(question, cancelled)

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Busy meanwhile; an answer from here and one from elsewhere may be under way at once."""
        with self._lock:
            self._at_work += 1
        try:
            yield
        finally:
            with self._lock:
                self._at_work -= 1

    def _answer(self, question: Question, cancelled: Callable[[], bool]) -> Iterator[Delta]:
        hybrid, settings = _parse(question.model), self._settings()
        remote = self._remote(hybrid)
        copy = None if remote else self._loaded(hybrid)
        begun = time.perf_counter()
        waited = time.monotonic() - question.asked_at
        hits: list[Hit] = []
        least = least_of(question.min_fit, question.min_similarity, settings)
        k = question.top_k or settings.retrieval.top_k
        if hybrid.rag and question.passages is None:
            hits = self.retrieve(hybrid.rag, question.messages, k, least)[1]
            if not hits:
                seconds = time.perf_counter() - begun
                yield Delta(not_in_library=True)
                yield Delta(NOT_IN_LIBRARY, figures=Figures(seconds_to_first_token=seconds, seconds_waited=waited))
                return

        if question.passages:
            shown = [Citation.given(number, passage) for number, passage in enumerate(question.passages, 1)]
        else:
            shown = [Citation.of(number, hit) for number, hit in enumerate(hits, 1)]
        passages = question.passages or [hit.passage for hit in hits]
        if remote or copy is None:
            assert remote is not None
            yield Delta(citations=tuple(shown))
            yield from remote_answer(remote, question, passages, settings, cancelled)
            return

        from workbench.chat.generation import generate
        from workbench.chat.prompt import fit

        sampling = _sampling(question, settings, copy.decoder.context_length)
        prompt = fit(
            copy.tokenizer,
            question.messages,
            passages,
            room=copy.decoder.context_length - sampling.max_tokens,
            # By the first question, so that asking again gives the same answer, and earlier turns stay as they were
            # sent. It need not be secret: passages in which it occurs are broken up.
            nonce=new_nonce(next(turn["content"] for turn in question.messages if turn["role"] == "user")),
            system=self._system_prompt(hybrid, settings) if question.system is None else question.system,
            # Measured answers are given what each arm is to be told and nothing else.
            earlier=self._earlier(hybrid.rag, question.messages, k, least, cancelled)
            if hybrid.rag and hits and not question.fresh
            else {},
        )
        citations = tuple(shown[: prompt.passages])
        yield Delta(citations=citations, cut=prompt.cut)

        if question.fresh:
            copy.decoder.forget()
        first, last, produced = None, begun, 0
        for piece in generate(copy.decoder, copy.tokenizer, prompt.ids, sampling, ends=copy.ends, cancelled=cancelled):
            now = time.perf_counter()
            first = first or now
            if piece.finish_reason is None:
                produced += 1
                last = now
                if piece.text:
                    yield Delta(piece.text)
                continue
            speed = (produced - 1) / (last - first) if produced > 1 else None
            self._last = Figures(
                len(prompt.ids), produced, first - begun, speed, waited, finish_reason=piece.finish_reason,
                cached_tokens=copy.decoder.tokens_reused, path=copy.decoder.path,
            )  # fmt: skip
            yield Delta(piece.text, figures=self._last)

    def retrieve(self, index: str, messages: Sequence[dict[str, str]], k: int, least: Least) -> tuple[str, list[Hit]]:
        """The passages for the last question of a chat; none if even the best one does not reach `least`.

        A follow-up such as "And on Sundays?" finds nothing alone: it is then searched together with the user's
        message before it. What that finds counts only if it holds the follow-up's own words; else a question about
        something else would be answered from the passages of the one before.

        Returns:
            What was searched for, and what was found, best first.
        """
        asked = [turn["content"] for turn in messages if turn["role"] == "user"]
        if hits := self._good_hits(index, asked[-1], k, least):
            return asked[-1], hits
        if len(asked) > 1:
            together = "\n".join(asked[-2:])
            hits = self._good_hits(index, together, k, least)
            if speaks_of(asked[-1], [hit.text for hit in hits]):
                return together, hits
        return asked[-1], []

    def _earlier(
        self, index: str, messages: Sequence[dict[str, str]], k: int, least: Least, cancelled: Callable[[], bool]
    ) -> dict[int, list[Passage]]:
        """What the user's earlier messages were sent with, by their index: found again, so that nothing is told of
        which the library no longer knows. Not those of turns that are too old to keep their passages."""
        from workbench.chat.prompt import HISTORY, TOGETHER

        asked = [at for at, turn in enumerate(messages[:-1]) if turn["role"] == "user"]
        found: dict[int, list[Passage]] = {}
        characters = 0
        # From the last on, in the groups that lose their passages together, so that the beginning stays the same.
        for begin in range((len(asked) - 1) // TOGETHER * TOGETHER, -1, -TOGETHER):
            for at in asked[begin : begin + TOGETHER]:
                if cancelled():
                    return {}
                if hits := self.retrieve(index, messages[: at + 1], k, least)[1]:
                    found[at] = [hit.passage for hit in hits]
                    characters += sum(len(hit.text) for hit in hits)
            if characters > _LONGEST_TOKEN * HISTORY:
                break
        return found

    def _good_hits(self, index: str, query: str, k: int, least: Least) -> list[Hit]:
        """What is found, if the best of it is probably about the question, or without calibration so similar."""
        hits = self._retrieval.search(index, query, k)
        fit = best_fit(hits)
        if least.fit and fit is not None:
            return hits if fit >= least.fit else []
        best = max((hit.similarity for hit in hits if hit.similarity is not None), default=-1.0)
        return hits if best >= least.similarity else []

    def _loaded(self, hybrid: Hybrid) -> Copy:
        if hybrid.rag:
            self._retrieval.load(hybrid.rag)
        if self._copies is None:
            from workbench.chat.copies import Copies

            self._copies = Copies(self._workspace, self._room)
        self._loading = str(Hybrid(hybrid.base, hybrid.lora))
        try:
            return self._copies.get(hybrid.base, hybrid.lora, self._settings().server.weights)
        finally:
            self._loading = None

    def _remote(self, hybrid: Hybrid) -> Remote | None:
        """The remote model in the place of the base; None where the base is here."""
        remote = self._remotes.get(hybrid.base, self._settings())
        if remote and hybrid.lora:
            raise UnknownModel(
                f"{hybrid.base} is on another server and takes no adapter", do=f"Ask {hybrid.base} or add +rag:INDEX."
            )
        return remote

    def _system_prompt(self, hybrid: Hybrid, settings: Settings) -> str:
        """An adapter is asked under the system prompt that it was trained with."""
        trained = [each.system_prompt for each in adapters(self._workspace) if each.run == hybrid.lora]
        return trained[0] if trained else settings.system_prompt

    def _settings(self) -> Settings:
        """The workspace's settings as they are now."""
        path = self._workspace.configs / "settings.yaml"
        stamp = path.stat().st_mtime_ns if path.exists() else None
        with self._lock:
            if self._settings_read is None or self._settings_read[0] != stamp:
                self._settings_read = (stamp, self._workspace.settings())
            return self._settings_read[1]


def least_of(fit: float | None, similarity: float | None, settings: Settings) -> Least:
    """What is asked of the best passage, by what a question says and by the settings.

    A question that gives a similarity alone goes by it, whatever the settings say of the fit.
    """
    given = settings.retrieval
    if fit is None:
        fit = given.min_fit if similarity is None else 0.0
    return Least(fit, given.min_similarity if similarity is None else similarity)


def speaks_of(question: str, texts: Sequence[str]) -> bool:
    """Whether most of a question's longer words (four letters or more) begin like a word of the texts."""
    words = {word for word in re.findall(r"\w{4,}", question.casefold()) if word not in _ASKING}
    there = {word[:5] for text in texts for word in re.findall(r"\w{4,}", text.casefold())}
    if not words:
        return bool(texts)
    return 2 * sum(word[:5] in there for word in words) > len(words)


def _parse(name: str) -> Hybrid:
    try:
        return Hybrid.parse(name)
    except UserError as error:
        raise UnknownModel(error.what, where=error.where, do=error.do) from None


def _sampling(question: Question, settings: Settings, context_length: int) -> Sampling:
    from workbench.chat.generation import Sampling

    defaults = settings.generation
    return Sampling(
        # At least half of the context is the prompt's.
        max_tokens=min(question.max_tokens or defaults.max_new_tokens, context_length // 2),
        temperature=defaults.temperature if question.temperature is None else question.temperature,
        top_p=defaults.top_p if question.top_p is None else question.top_p,
        seed=question.seed,
        stop=question.stop,
    )
