"""The state of a workspace at a glance, and the next sensible step. Plain objects; nothing here is slow or heavy.

Reads the database and the folders: call `read_state` in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from screens.watcher import Job
from workbench.errors import UserError
from workbench.workspace import Workspace

if TYPE_CHECKING:
    from workbench.compare.records import Comparison
    from workbench.library.catalogue import IndexSummary
    from workbench.pairs.store import DatasetSummary

Part = TypeVar("Part")


@dataclass(frozen=True)
class ModelLine:
    """A model that the settings name, and whether it is on this machine."""

    name: str
    role: str
    ready: bool


@dataclass
class WorkspaceState:
    """What Home shows; a part that could not be read is empty and its reason is in `faults`."""

    datasets: Sequence[DatasetSummary] = ()
    indexes: Sequence[IndexSummary] = ()
    models: Sequence[ModelLine] = ()
    chats: int = 0
    comparisons: Sequence[Comparison] = ()
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def missing_models(self) -> list[str]:
        return [model.name for model in self.models if not model.ready]


@dataclass(frozen=True)
class Step:
    """What to do next."""

    text: str
    key: str
    """What to press, beside enter."""
    action: str
    """The app's or the screen's action that does it."""


def read_state(workspace: Workspace) -> WorkspaceState:
    """Read all there is; what is damaged is told and keeps nothing else from being shown."""
    state = WorkspaceState()

    def part(name: str, read: Callable[[], Part], otherwise: Part) -> Part:
        try:
            return read()
        except UserError as error:
            state.faults[name] = str(error)
            return otherwise

    state.datasets = part("pairs", lambda: _datasets(workspace), [])
    state.indexes = part("library", lambda: _indexes(workspace), [])
    state.models = part("models", lambda: _models(workspace), [])
    state.chats = part("chats", lambda: _chats(workspace), 0)
    state.comparisons = part("comparisons", lambda: _comparisons(workspace), [])
    return state


def next_step(state: WorkspaceState, jobs: Sequence[Job]) -> Step:
    """The one thing that helps most now: weights, pairs, a run, an index, a chat, a comparison, in that order."""
    live = [job for job in jobs if job.live]
    runs = [job for job in jobs if job.folder.is_run]
    if fetching := next((job for job in live if job.kind == "fetch"), None):
        model = fetching.arguments.get("model", "a model")
        waiting = Step(f"{model} is on its way; bring in pairs meanwhile", "2", "app.show('pairs')")
    else:
        waiting = None
    if state.missing_models:
        return waiting or Step(f"Fetch the weights of {' and '.join(state.missing_models)}", "f", "screen.fetch")
    if not state.datasets:
        return Step("Import pairs for the model to learn from", "2", "app.show('pairs')")
    accepted = sum(dataset.accepted for dataset in state.datasets)
    pending = sum(dataset.pending for dataset in state.datasets)
    if not accepted:
        return Step(f"Look through {pending:,} pending pairs and accept the good ones", "2", "app.show('pairs')")
    if running := next((job for job in live if job.kind == "train"), None):
        return Step(f"Watch {running.id} learn", "3", "app.show('training')")
    if not runs:
        return Step(f"Train an adapter on {accepted:,} accepted pairs", "3", "app.show('training')")
    if runs[0].status.state in ("stopped", "failed", "lost"):
        word = "was lost" if runs[0].status.state == "lost" else runs[0].status.state
        return Step(f"{runs[0].id} {word}: see why, and resume it", "3", "app.show('training')")
    if indexing := next((job for job in live if job.kind == "index"), None):
        return Step(f"Watch the index {indexing.arguments.get('name', '')} grow", "4", "app.show('library')")
    if not state.indexes:
        return Step("Index documents, so that answers can cite them", "4", "app.show('library')")
    if comparing := next((job for job in live if job.kind == "compare"), None):
        return Step(f"Watch {comparing.title}", "6", "app.show('compare')")
    if state.chats and not state.comparisons:
        return Step("Measure whether your task needs retrieval, tuning or both", "6", "app.show('compare')")
    return Step("Talk to the hybrid of your adapter and your library", "5", "app.show('chat')")


def names_of(workspace: Workspace) -> dict[str, list[str]]:
    """What a recipe may name in this workspace, by the recipe's key; what cannot be read names nothing.

    Opens the database and the indexes: call it in a thread.
    """

    def names(read: Callable[[], list[str]]) -> list[str]:
        try:
            return read()
        except UserError:
            return []

    return {
        "dataset": names(lambda: [dataset.name for dataset in _datasets(workspace)]),
        "context.index": names(lambda: [index.name for index in _indexes(workspace)]),
        "model_name_or_path": names(lambda: [workspace.settings().base_model]),
    }


def _datasets(workspace: Workspace) -> list[DatasetSummary]:
    if not workspace.database.exists():
        return []
    from workbench.pairs.store import PairStore

    with PairStore(workspace.database) as store:
        return store.datasets()


def _indexes(workspace: Workspace) -> list[IndexSummary]:
    if not workspace.indexes.is_dir() or not any(workspace.indexes.iterdir()):
        return []
    from workbench.library.catalogue import indexes

    return list(indexes(workspace))


def _models(workspace: Workspace) -> list[ModelLine]:
    from workbench.models.local import local_folder

    settings = workspace.settings()
    named = ((settings.base_model, "chat"), (settings.embedding_model, "embedding"))
    elsewhere = settings.remotes  # a model on another server needs no weights here
    return [ModelLine(name, role, name in elsewhere or local_folder(name) is not None) for name, role in named]


def _chats(workspace: Workspace) -> int:
    if not workspace.database.exists():
        return 0
    from workbench.chat.history import ChatStore

    with ChatStore(workspace.database) as store:
        return len(store.chats())


def _comparisons(workspace: Workspace) -> list[Comparison]:
    if not workspace.database.exists():
        return []
    from workbench.compare.store import CompareStore

    with CompareStore(workspace.database) as store:
        return store.comparisons()
