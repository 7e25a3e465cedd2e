"""Which indexes and documents there are, for lists and screens. SQLite only: it opens neither usearch nor tantivy."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import UserError
from workbench.jobs.folder import process_of
from workbench.library import in_step
from workbench.library.documents import Fault
from workbench.library.in_step import InStep
from workbench.library.store import FILE, Store
from workbench.workspace import Workspace


@dataclass(frozen=True)
class IndexSummary:
    """One index at a glance."""

    name: str
    state: str
    """ready; building; incomplete (a build was stopped or killed before it was complete); damaged."""
    documents: int = 0
    chunks: int = 0
    updated_at: float | None = None
    """When a build last completed, seconds since the epoch."""
    embedding_model: str | None = None
    sources: tuple[str, ...] = ()
    """What it was built from; folders inside the workspace relative to it."""
    faults: int = 0
    """Files that the last build could not read."""
    in_step: InStep | None = None
    """How it stands to its folders; None where nobody follows it."""


@dataclass(frozen=True)
class DocumentRow:
    """One document of an index."""

    document: str
    """Its name in the index."""
    path: str
    title: str
    chunks: int
    size: int
    """Bytes."""
    modified: float
    """Seconds since the epoch."""


def indexes(workspace: Workspace) -> list[IndexSummary]:
    """All indexes of a workspace by name; one that cannot be opened is listed as damaged."""
    return [_summary(path.parent) for path in sorted(workspace.indexes.glob(f"*/{FILE}"))]


def documents(workspace: Workspace, name: str) -> list[DocumentRow]:
    """The documents of an index, by name.

    Raises:
        UserError: there is no such index, or it is damaged.
    """
    with opened(workspace, name) as store:
        return [DocumentRow(*row) for row in store.list_documents()]


def faults(workspace: Workspace, name: str) -> list[Fault]:
    """The files that the last build could not read, and why.

    Raises:
        UserError: there is no such index, or it is damaged.
    """
    with opened(workspace, name) as store:
        return store.list_faults()


def document_text(workspace: Workspace, name: str, document: str) -> str:
    """The text of a document as it was read; `Hit.start` and `Hit.end` are offsets in it.

    Raises:
        UserError: there is no such index or document, or it is damaged.
    """
    with opened(workspace, name) as store:
        return store.document_text(document)


def followed(workspace: Workspace) -> dict[str, InStep]:
    """How the indexes that somebody follows stand to their folders, by name; opens no database."""
    told = {path.parent.name: in_step.read(path.parent) for path in workspace.indexes.glob(f"*/{in_step.FILE}")}
    return {name: stands for name, stands in told.items() if stands is not None}


def opened(workspace: Workspace, name: str) -> Store:
    """The database of an index, to be closed.

    Raises:
        UserError: there is no such index, or it is damaged.
    """
    folder = workspace.index(name)
    if not (folder / FILE).is_file():
        raise UserError(f"there is no index {name!r}", do=f"Make it with `workbench index build {name} PATH`.")
    return Store(folder)


def _summary(folder: Path) -> IndexSummary:
    try:
        with Store(folder) as store:
            facts = store.facts()
            documents, chunks = store.counts()
            updated_at = facts.get("updated_at")
            return IndexSummary(
                name=folder.name,
                state=_state(facts),
                documents=documents,
                chunks=chunks,
                updated_at=float(updated_at) if updated_at else None,
                embedding_model=facts.get("embedding_model"),
                sources=tuple(_shown(source, folder.parents[1]) for source in store.sources()),
                faults=len(store.list_faults()),
                in_step=in_step.read(folder),
            )
    except (UserError, sqlite3.DatabaseError):
        return IndexSummary(folder.name, "damaged")


def _shown(source: Path, root: Path) -> str:
    return str(source.relative_to(root)) if source.is_relative_to(root) else str(source)


def _state(facts: dict[str, str]) -> str:
    if "builder" in facts:
        pid, started = facts["builder"].split()
        return "incomplete" if process_of(int(pid), float(started)) is None else "building"
    return "ready" if "revision" in facts else "incomplete"
