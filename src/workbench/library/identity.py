"""Which model an index is embedded with, which one is asked for, and what changing over would cost.

Vectors of two models, or of two versions of one, cannot be compared: an index is all of one, or it is broken.
"""

from __future__ import annotations

from dataclasses import dataclass

from workbench.errors import UserError
from workbench.library.store import FILE, Store
from workbench.models import local
from workbench.output import duration
from workbench.workspace import Workspace


class OtherEmbedder(UserError):
    """An index would have to be embedded anew: its model, or the weights of it, are others than it was built with."""

    def __init__(self, index: str, embedded_with: str, asked: str, chunks: int, seconds: float | None) -> None:
        super().__init__(
            what_differs(embedded_with, asked, chunks, seconds),
            where=f"index {index}",
            do=f"{how_to_keep(embedded_with, asked)}, or embed everything anew:"
            f" `workbench index update {index}{'' if asked == embedded_with else f' --embedder {asked}'} --reembed`.",
        )


@dataclass(frozen=True)
class Embedders:
    """The embedder that an index has, and the one that it is to have."""

    index: str
    embedded_with: str
    asked: str
    """By the user, or else by the settings."""
    same: bool
    """They are the same, down to the weights: there is nothing to choose."""
    chunks: int
    """That would be embedded anew."""
    seconds: float | None
    """That it would take, at the speed of the last build; None where that is not known."""

    @property
    def difference(self) -> str:
        """What differs, and what changing over costs, as a sentence without its full stop."""
        return what_differs(self.embedded_with, self.asked, self.chunks, self.seconds)

    def check(self) -> None:
        """Raise `OtherEmbedder` unless they are the same.

        Raises:
            OtherEmbedder: they differ, and everything would have to be embedded anew.
        """
        if not self.same:
            raise OtherEmbedder(self.index, self.embedded_with, self.asked, self.chunks, self.seconds)


def embedders(workspace: Workspace, name: str, asked: str | None = None) -> Embedders | None:
    """Compare an index's embedder with one that is asked for.

    Args:
        workspace: with the index and the settings.
        name: of the index.
        asked: a model's name, a hub id or a folder; None: the index's own, whose weights may be others now.

    Returns:
        None where no build of the index is complete: there is nothing to keep.

    Raises:
        UserError: the index is damaged, or the model that is asked for is not on this machine.
    """
    folder = workspace.index(name)
    if not (folder / FILE).is_file():
        return None
    with Store(folder) as store:
        facts, (_, chunks) = store.facts(), store.counts()
    if "fingerprint" not in facts:
        return None
    wanted = workspace.model(asked) if asked else facts["embedding_model"]
    same = chunks == 0 or local.fingerprint(local.ensure(wanted)) == facts["fingerprint"]
    rate = float(facts.get("chunks_per_second", 0))
    return Embedders(name, facts["embedding_model"], wanted, same, chunks, chunks / rate if rate else None)


def what_differs(embedded_with: str, asked: str, chunks: int, seconds: float | None) -> str:
    """What differs, and what changing over costs, as a sentence without its full stop."""
    cost = f"{chunks:,} chunk{'' if chunks == 1 else 's'}"
    time = f", about {duration(seconds)} at the speed of its last build" if seconds is not None else ""
    if asked == embedded_with:
        return f"was built with other weights of {asked} than are here now ({cost} to embed anew{time})"
    return f"is embedded with {embedded_with}; with {asked} all of it is embedded anew ({cost}{time})"


def how_to_keep(embedded_with: str, asked: str) -> str:
    """What to do in order to keep the embedder that it has."""
    if asked == embedded_with:
        return "Put the old weights back"
    return f"Keep {embedded_with} by not naming another"
