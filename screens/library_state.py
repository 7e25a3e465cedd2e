"""The indexes of a workspace as the library shows them: what the catalogue says, and what jobs are doing to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from screens.modals.choose import Choice
from screens.watcher import Job
from workbench.errors import UserError
from workbench.jobs.follow import EventReader
from workbench.output import duration
from workbench.workspace import Workspace

if TYPE_CHECKING:
    from workbench.library.catalogue import IndexSummary
    from workbench.library.identity import Embedders
    from workbench.library.in_step import InStep

KEEP, REEMBED = "keep", "reembed"
_MOST = 2000  # messages of a job that are shown


@dataclass(frozen=True)
class IndexLine:
    """One index."""

    name: str
    summary: IndexSummary | None
    """None before its first build has begun."""
    job: Job | None
    """The latest that builds or updates it."""
    in_step: InStep | None = None
    """How it stands to its folders; None where nobody follows it."""

    @property
    def live(self) -> bool:
        """Whether a job is at it or waits for its turn."""
        return self.job is not None and self.job.live

    @property
    def ended_badly(self) -> Job | None:
        """The latest job, if it did not come to its end and no later build did."""
        job = self.job
        if job is None or job.status.state not in ("failed", "lost", "stopped"):
            return None
        built = self.summary.updated_at if self.summary and self.summary.updated_at else 0.0
        return job if (job.status.finished_at or job.created_at) > built else None

    @property
    def state(self) -> str:
        """A job's state while one is live; else ready or damaged; or how the job ended that should have made it so."""
        if self.job is not None and self.job.live:
            return self.job.status.state
        if self.summary is not None and (self.summary.state != "incomplete" or self.ended_badly is None):
            return self.summary.state
        return self.job.status.state if self.job is not None else "incomplete"


def index_lines(
    summaries: Sequence[IndexSummary], jobs: Sequence[Job], in_step: Mapping[str, InStep] | None = None
) -> list[IndexLine]:
    """All indexes by name.

    Args:
        summaries: of the catalogue.
        jobs: of the workspace, newest first.
        in_step: how those that are followed stand to their folders, by name.
    """
    latest: dict[str, Job] = {}
    for job in jobs:
        if job.kind == "index" and isinstance(name := job.arguments.get("name"), str):
            latest.setdefault(name, job)
    known = {summary.name: summary for summary in summaries}
    names = [*known, *(name for name, job in latest.items() if name not in known and job.status.state != "done")]
    return [IndexLine(name, known.get(name), latest.get(name), (in_step or {}).get(name)) for name in sorted(names)]


def messages_of(workspace: Workspace, line: IndexLine) -> list[str]:
    """What the latest build of an index told, oldest first, a line each; files that are not indexed begin with "!".

    Reads files. Without a job, because it was removed or the index was copied here, the index itself is asked.

    Raises:
        UserError: the index is damaged.
    """
    if line.job is None:
        from workbench.library.catalogue import faults

        readable = line.summary is not None and line.state != "damaged"
        return [f"! {fault.path} {fault.reason}" for fault in faults(workspace, line.name)] if readable else []
    told = [event for event in EventReader(line.job.folder.events).read() if event.get("type") == "message"]
    lines = [f"{'·' if event.get('level') == 'info' else '!'} {event.get('text', '')}" for event in told[-_MOST:]]
    error = line.job.status.error
    return [*lines, f"✗ {error}"] if error else lines


def other_embedder(workspace: Workspace, name: str) -> Embedders | None:
    """What there is to choose before an index is updated: its own model has other weights now, or the settings name
    another model; None where nothing is. Reads files, and perhaps weights to tell them apart.

    Raises:
        UserError: the index is damaged, or its model is not on this machine.
    """
    from workbench.library.identity import embedders

    own = embedders(workspace, name)
    if own is None or not own.same:
        return own
    wanted = workspace.settings().embedding_model
    if wanted == own.embedded_with:
        return None
    try:
        compared = embedders(workspace, name, wanted)
    except UserError:  # the settings' model is not here: there is no choice yet
        return None
    return compared if compared is not None and not compared.same else None


def choices_of(compared: Embedders) -> list[Choice]:
    """The entries of the dialog about an index's embedding model."""
    time = f", about {duration(compared.seconds)}" if compared.seconds is not None else ""
    anew = f"all {compared.chunks:,} chunks{time}; it answers as before until the last step"
    if compared.asked == compared.embedded_with:
        return [
            Choice(KEEP, "Leave it", "change nothing; it is searched again when the old weights are back"),
            Choice(REEMBED, "Embed anew", anew),
        ]
    return [
        Choice(KEEP, f"Keep {compared.embedded_with}", "only what changed is embedded"),
        Choice(REEMBED, f"Change to {compared.asked}", anew),
    ]
