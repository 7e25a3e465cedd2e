"""The weights that the server holds: the base model, and a merged copy of it for every adapter in use.

A merged copy answers 1.7 times faster than a base with the adapter beside it, and switching is choosing a copy. What an
adapter leaves as it is, the embeddings above all, its copy holds together with the other copies of the same base.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from workbench.chat.answer import UnknownModel
from workbench.chat.decode import Decoder, decoder_for
from workbench.chat.prefixes import ROOM, Prefixes
from workbench.hybrid import Hybrid
from workbench.models import local
from workbench.models.adapter import FOLDER, MANIFEST, verified_adapter
from workbench.models.load import load_model, load_tokenizer
from workbench.workspace import Workspace

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

_SHARE = 0.4  # of the machine's memory that weights may take: loading one more takes as much again for a while


@dataclass(frozen=True)
class Copy:
    """One model, ready to answer."""

    decoder: Decoder
    tokenizer: PreTrainedTokenizerFast
    ends: frozenset[int]
    """The tokens that end an answer."""


@dataclass(frozen=True)
class _Held:
    stamp: object
    """What the files were like from which it was loaded."""
    copy: Copy


class Copies:
    """Loads models when they are asked for; the one that was not used for longest goes first. For one thread."""

    def __init__(self, workspace: Workspace, room: int | None = None) -> None:
        """Copies of a workspace's models.

        Args:
            workspace: whose adapters.
            room: bytes that weights may take; one copy is held however large it is. None: a share of the machine's.
        """
        self._workspace = workspace
        memory = psutil.virtual_memory().total
        self._room = room or int(_SHARE * memory)
        self._prefixes = Prefixes(min(ROOM, memory // 16))
        self._held: dict[tuple[str, str | None], _Held] = {}  # the least recently used first

    def loaded(self) -> dict[str, str]:
        """The hybrids, without index, whose weights are held, and who computes for each: lean or transformers."""
        return {str(Hybrid(*key)): held.copy.decoder.path for key, held in list(self._held.items())}

    def memory(self) -> dict[str, int]:
        """Bytes that are held: weights (with the cache of the prompt in work), and beginnings of earlier prompts."""
        return {"weights": self._bytes(), "prefixes": self._prefixes.bytes}

    def get(self, base: str, run: str | None, weights: str = "float16") -> Copy:
        """The model of a base and an adapter (the name of its run); loaded again if its files have changed.

        `weights` are float16 or int8, for models that the lean decoder knows.

        Raises:
            UnknownModel: there is no such base or run here.
            UserError: the weights or the adapter are damaged, or do not belong together.
        """
        key = (base, run)
        folder = local.local_folder(base)
        if folder is None:
            raise UnknownModel(
                f"the model {base!r} is not on this machine", do=f"Fetch it with `workbench models fetch {base}`."
            )
        stamp = (weights, self._stamp(folder, run))
        held = self._held.get(key)
        if held is None or held.stamp != stamp:
            del held  # frees its memory before more is taken
            self._drop(key)
            held = _Held(stamp, self._load(folder, run, weights))
            for other in list(self._held.values()):
                held.copy.decoder.share(other.copy.decoder)
        self._held.pop(key, None)
        self._held[key] = held
        while len(self._held) > 1 and self._bytes() > self._room:
            self._drop(next(iter(self._held)))
        return held.copy

    def _drop(self, key: tuple[str, str | None]) -> None:
        if held := self._held.pop(key, None):
            held.copy.decoder.forget()

    def _bytes(self) -> int:
        """What the copies take together; what several of them share counts once."""
        return sum(dict(each for held in list(self._held.values()) for each in held.copy.decoder.held()).values())

    def _stamp(self, folder: Path, run: str | None) -> object:
        """What changes when the weights or the adapter do."""
        files = sorted(folder.glob("*.safetensors"))
        if run is not None:
            adapter = self._workspace.run(run) / FOLDER / MANIFEST
            if not adapter.is_file():
                raise UnknownModel(f"there is no run {run!r} with an adapter", do="See `workbench runs list`.")
            files.append(adapter)
        return [(str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files]

    def _load(self, folder: Path, run: str | None, weights: str) -> Copy:
        tokenizer = load_tokenizer(folder)
        if run is None:
            model = load_model(folder)
        else:
            model = self._merged(folder, verified_adapter(self._workspace.run(run), folder))
        return Copy(decoder_for(model, self._prefixes, weights), tokenizer, _ends(model, tokenizer))

    def _merged(self, folder: Path, adapter: Path) -> PreTrainedModel:
        from peft import PeftModel

        # Merged in float32: in bfloat16 the sum rounds a young adapter away.
        model = load_model(folder, dtype="float32", device="cpu")
        tuned: Any = PeftModel.from_pretrained(model, adapter)
        return _placed(tuned.merge_and_unload(safe_merge=True).eval().requires_grad_(False))


def _placed(model: Any) -> PreTrainedModel:
    """On the device, and in the type, in which `load_model` puts a model by itself."""
    import torch

    from workbench.models.load import device

    place = device()
    return model if place == "cpu" else model.to(place, torch.bfloat16)


def _ends(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> frozenset[int]:
    configured = model.generation_config.eos_token_id if model.generation_config else None
    ends = configured if isinstance(configured, list) else [configured]
    return frozenset(int(end) for end in [*ends, tokenizer.eos_token_id] if end is not None)
