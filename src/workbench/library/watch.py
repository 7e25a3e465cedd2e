"""Keeping indexes in step with their folders: what is saved, moved or deleted there is soon in the answers.

A follower looks at every file when it begins, and now and then; in between the system tells it which paths changed, and
only those are looked at. Whatever goes wrong, the next step looks at every file again: nothing is lost, and of what was
done nothing is done twice.
"""

from __future__ import annotations

import sqlite3
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from workbench.errors import UserError
from workbench.jobs import control
from workbench.jobs.folder import JobFolder
from workbench.library import changes, in_step
from workbench.library.build import Built, Busy, build
from workbench.library.identity import embedders
from workbench.library.in_step import InStep
from workbench.library.notices import NoNoticesError, Notices
from workbench.library.store import FILE, Store
from workbench.models.embed import Embedder
from workbench.models.local import ensure, fingerprint
from workbench.output import duration
from workbench.workspace import Workspace

MANY = 200
"""Files; when more than these change at once, a job brings the index up to date."""
_LOOK = 600.0  # seconds between two looks at every file, where the system tells of changes
_POLL = 2.0  # and where it does not
_REST = 20  # times as long as a look took, nothing is looked at again
_BREATH = 2.0  # times as long as an update took, the next one waits, so that answers keep most of the processor
_RETRY = 2.0  # seconds
_FEW = 16  # files that are read at once; of more, the rest is probably still being written
_STILL = 0.5  # seconds without a change after which more than a few files count as all that change
_LONGEST = 60.0  # seconds that they are waited for
_IN_STEP = InStep("in step")
_TICK = 1.0  # seconds between two looks at which indexes there are


class _Followed:
    """One index, and what is known of its folders."""

    def __init__(self, folder: Path, wake: threading.Event) -> None:
        self.folder, self.name, self._wake = folder, folder.name, wake
        self.notices: Notices | None = None
        self.looked = ""  # why there are no notices
        self.roots: dict[Path, tuple[int, int]] = {}  # device and number of each, as they are watched
        self.database: object = None  # changes when something is written to the index
        self.revision = 0
        self.sources: list[Path] = []
        self.look = True
        self.look_at = self.not_before = self.began = self.grew = 0.0
        self.job: JobFolder | None = None
        self.ended_job: JobFolder | None = None
        self.job_rest = 0.0  # seconds that a job which did not come to its end is left alone
        self.told: InStep | None = None
        self._pending: set[str] = set()
        self._lock = threading.Lock()

    def changed(self, paths: set[str]) -> None:
        """Called by the notices, in their thread."""
        with self._lock:
            self.grew = time.monotonic()
            self.began = self.began if self._pending else self.grew
            self._pending |= paths
        self._wake.set()

    @property
    def pending(self) -> bool:
        """Whether the system told of a change that nobody took."""
        return bool(self._pending)

    def take(self) -> set[str]:
        with self._lock:
            taken, self._pending = self._pending, set()
        return taken

    def put_back(self, paths: set[str]) -> None:
        with self._lock:
            self._pending |= paths

    def due(self, now: float) -> bool:
        return now >= self.not_before and bool(self.look or self._pending or self.job or now >= self.look_at)

    def close(self) -> None:
        if self.notices is not None:
            self.notices.close()
            self.notices = None


class Follower:
    """Follows some indexes of a workspace, in the thread that calls `run`."""

    def __init__(
        self,
        workspace: Workspace,
        names: Callable[[], Iterable[str]],
        embedder: Callable[[str], Embedder],
        *,
        jobs: bool,
        tell: Callable[[dict[str, Any]], None] = lambda event: None,
        updated: Callable[[str], None] = lambda name: None,
    ) -> None:
        """A follower.

        Args:
            workspace: of the indexes.
            names: which indexes are followed, asked again and again.
            embedder: loads an embedding model by its name, or has it loaded.
            jobs: whether a large update is left to a job.
            tell: called with every change of state: index, and the fields of `InStep`; and with what an update did.
            updated: called with the name of an index that was updated here.
        """
        self._workspace, self._names, self._embedder, self._jobs = workspace, names, embedder, jobs
        self._tell, self._updated = tell, updated
        self._wake = threading.Event()
        self._followed: dict[str, _Followed] = {}
        self._listed = 0.0
        self._stop = threading.Event()

    def stop(self) -> None:
        """Have `run` return soon; from any thread."""
        self._stop.set()
        self._wake.set()

    def run(self) -> None:
        """Follow until `stop`."""
        try:
            while not self._stop.is_set():
                self._wake.clear()
                now = time.monotonic()
                if now - self._listed >= _TICK:
                    self._listed = now
                    self._list()
                for one in list(self._followed.values()):
                    if self._stop.is_set():
                        return
                    self._check_roots(one)
                    if one.due(time.monotonic()):
                        self._step_safely(one)
                self._wake.wait(self._pause())
        finally:
            for one in self._followed.values():
                one.close()
                in_step.withdraw(one.folder)

    def _pause(self) -> float:
        now = time.monotonic()
        soon = [one.not_before - now for one in self._followed.values() if one.due(max(now, one.not_before))]
        return max(0.01, min([_TICK, *soon]))

    def _list(self) -> None:
        """Notice indexes that came, went, or have other sources."""
        names = {name for name in self._names() if (self._workspace.indexes / name / FILE).is_file()}
        for name in self._followed.keys() - names:
            self._followed.pop(name).close()
            in_step.withdraw(self._workspace.indexes / name)
        for name in sorted(names):
            one = self._followed.setdefault(name, _Followed((self._workspace.indexes / name), self._wake))
            database = _database_stamp(one.folder)
            if database != one.database:
                one.database = database
                sources, revision = _facts(one.folder)
                if sources != one.sources:
                    one.sources, one.look = sources, True
                    one.close()
                if revision != one.revision:  # by whomever: what kept it behind may be mended
                    one.revision, one.look, one.not_before = revision, True, 0.0

    def _check_roots(self, one: _Followed) -> None:
        """A folder that was replaced, or came back, is watched anew."""
        if one.notices is not None and one.roots != _identities(one.sources):
            one.close()
            one.look, one.not_before = True, 0.0

    def _step_safely(self, one: _Followed) -> None:
        """One step; what keeps it from being done is told, and it is tried again."""
        if not one.sources:
            one.look, one.look_at = False, time.monotonic() + _TICK
            return
        try:
            self._step(one)
            return
        except Busy:
            one.not_before = time.monotonic() + 0.5
            self._show(one, InStep("waiting"))
        except (UserError, changes.SourceGone) as error:
            one.not_before = time.monotonic() + (_RETRY if isinstance(error, changes.SourceGone) else 10 * _RETRY)
            self._show(one, InStep("behind", why=str(error)))
            if isinstance(error, changes.SourceGone):
                one.close()
        except Exception as error:  # a full disk, a database in use: told, and tried again
            traceback.print_exc()
            one.not_before = time.monotonic() + 10 * _RETRY
            self._show(one, InStep("behind", why=f"{type(error).__name__}: {error}"))
        one.look = True

    def _step(self, one: _Followed) -> None:
        if one.job is not None and self._job_goes_on(one, one.job):
            if one.pending and one.job.status().state == "queued":
                self._update_meanwhile(one)
            return
        self._watch(one)
        taken, every_file = one.take(), one.look
        begun = time.monotonic()
        with Store(one.folder) as store:
            if every_file := every_file or begun >= one.look_at:
                if one.told is None:
                    self._show(one, InStep("checking"))
                paths = changes.look(store)
                one.look = False
                took = time.monotonic() - begun
                one.look_at = time.monotonic() + max(_POLL if one.looked else _LOOK, _REST * took)
                count = len(paths)
            else:
                changes.check_there(store, one.sources)
                paths, count = self._below(one, store, taken)
        if not count:
            one.job_rest = 0.0
            self._show(one, InStep("in step"))
            return
        if (compared := embedders(self._workspace, one.name)) is not None:
            compared.check()
        now = time.monotonic()
        if count > _FEW and now - one.grew < _STILL and now - one.began < _LONGEST:
            one.put_back(taken)
            one.look = every_file
            one.not_before = now + _STILL / 2
            self._show(one, InStep("updating", total=count))
        elif count > MANY and self._jobs:
            one.job = self._update_job(one)
            self._show(one, InStep("updating", total=count))
        else:
            self._update(one, paths, count)

    def _update_meanwhile(self, one: _Followed) -> None:
        """Update what changes while the job waits for its turn, perhaps for hours; many files are left to it, too."""
        told, taken = one.told, one.take()
        with Store(one.folder) as store:
            changes.check_there(store, one.sources)
            paths, count = self._below(one, store, taken)
        if 0 < count <= _FEW:
            self._update(one, paths, count, then=told or InStep("updating"))

    def _below(self, one: _Followed, store: Store, taken: set[str]) -> tuple[list[Path], int]:
        """The paths that changed in the sources, and how many files that are."""
        paths = [Path(path) for path in changes.below(one.sources, map(Path, taken))]
        found, _ = changes.find_below(store, one.sources, paths)
        known = store.documents(live=True, under=[str(path) for path in paths])
        return paths, len({str(each.path) for each in found} | known.keys())

    def _update(self, one: _Followed, paths: list[Path], count: int, *, then: InStep = _IN_STEP) -> None:
        begun = time.monotonic()
        self._show(one, InStep("updating", total=count))
        built = build(
            one.folder,
            None,
            self._embedder,
            _Report(lambda now: self._show(one, now), self._stop),
            embedding_model=self._workspace.settings().embedding_model,
            only=None if count > MANY else paths,
            patience=0.0,
        )
        took = time.monotonic() - begun
        one.not_before = time.monotonic() + _BREATH * took
        one.database, (one.sources, one.revision) = _database_stamp(one.folder), _facts(one.folder)
        if built.read or built.removed or built.moved or built.embedded:
            self._updated(one.name)
            self._tell({"index": one.name, "state": "updated", "seconds": round(took, 3), **_figures(built)})
        self._show(one, then)

    def _job_goes_on(self, one: _Followed, job: JobFolder) -> bool:
        """Show how far the job is; once it has ended, every file is looked at again."""
        status = job.status()
        if status.live:
            progress, told = status.progress, one.told or InStep("updating")
            if progress.total:
                told = InStep("updating", int(progress.done), int(progress.total), progress.unit or "files")
            self._show(one, told)  # while it waits for its turn: how many files there are
            one.not_before = time.monotonic() + 0.5
            return True
        one.job, one.look = None, True
        if status.state != "done":
            one.job_rest = 3600.0 if status.state == "stopped" else min(3600.0, 60.0 + 2 * one.job_rest)
            one.not_before, one.ended_job = time.monotonic() + one.job_rest, job
            why = status.error or "go on with it by an update"
            self._show(one, InStep("behind", why=f"its update was {status.state}: {why}"))
            return True
        return False

    def _update_job(self, one: _Followed) -> JobFolder:
        """The job that is at this index already, or one that did not come to its end, or a new one."""
        for job in control.jobs(self._workspace):
            spec = job.listed
            if spec and spec["kind"] == "index" and spec["arguments"].get("name") == one.name:
                if job.status().live:
                    return job
                if job == one.ended_job:
                    return control.resume(job)
        return control.start(
            self._workspace, "index", {"name": one.name, "update": True}, title=f"update index {one.name}"
        )

    def _watch(self, one: _Followed) -> None:
        """Have the system tell of changes from now on; every file is looked at after that."""
        if one.notices is not None or (one.looked and one.roots == _identities(one.sources)):
            return
        with Store(one.folder) as store:
            changes.check_there(store, one.sources)
        one.roots = _identities(one.sources)
        one.look = True
        try:
            one.notices, one.looked = Notices([source.resolve() for source in one.sources], one.changed), ""
        except NoNoticesError as reason:
            one.looked = str(reason)

    def _show(self, one: _Followed, now: InStep) -> None:
        now = replace(now, looked=one.looked)
        if now != one.told:
            one.told = now
            in_step.write(one.folder, now)
            self._tell({"index": one.name, **asdict(now)})


class _Report:
    """A build's reporter that shows how far it is, a few times a second."""

    def __init__(self, show: Callable[[InStep], None], stop: threading.Event) -> None:
        self._show, self._stop, self._shown = show, stop, time.monotonic()

    def progress(self, done: float, total: float | None = None, *, unit: str = "", message: str = "", **_: Any) -> None:
        if total and time.monotonic() - self._shown > 0.25:
            self._shown = time.monotonic()
            self._show(InStep("updating", int(done), int(total), unit))

    def message(self, text: str, *, level: str = "info") -> None:
        pass  # files that cannot be read are listed with the index

    def check_stop(self) -> None:
        if self._stop.is_set():
            raise UserError("the process that followed it has ended")


def in_foreground(workspace: Workspace, name: str, tell: Callable[[dict[str, Any]], None]) -> None:
    """Follow one index until ctrl+c.

    Args:
        workspace: of the index.
        name: of the index.
        tell: see `Follower`.
    """
    loaded: dict[str, Embedder] = {}

    def embedder(model: str) -> Embedder:
        folder = ensure(model)
        if model not in loaded or loaded[model].fingerprint != fingerprint(folder):  # the weights may be newer
            loaded[model] = Embedder(folder)
        return loaded[model]

    follower = Follower(workspace, lambda: [name], embedder, jobs=False, tell=tell)
    try:
        follower.run()
    except KeyboardInterrupt:
        return


def describe(event: dict[str, Any]) -> str:
    """A line for a person."""
    if event["state"] == "updated":
        parts = [f"{event[key]} {key}" for key in ("read", "embedded", "moved", "removed") if event[key]]
        return f"Updated: {', '.join(parts)} ({duration(event['seconds']) if event['seconds'] >= 1 else '< 1 s'})."
    now = InStep(**{key: value for key, value in event.items() if key != "index"})
    looked = f" (looking again and again: {now.looked})" if now.looked and now.state == "in step" else ""
    words = now.in_words
    return f"{words[0].upper()}{words[1:]}{looked}"


def _figures(built: Built) -> dict[str, Any]:
    return {**asdict(built), "faults": len(built.faults)}


def _facts(folder: Path) -> tuple[list[Path], int]:
    """The sources of an index that is complete, and its revision."""
    try:
        with Store(folder) as store:
            return (store.sources(), store.revision) if store.revision else ([], 0)
    except (UserError, sqlite3.Error):  # damaged, which whoever opens it is told
        return [], 0


def _identities(sources: Iterable[Path]) -> dict[Path, tuple[int, int]]:
    """Device and number of each folder; of a file, of the folder that it is in."""
    found = {}
    for source in sources:
        try:
            status = (source if source.is_dir() else source.parent).stat()
            found[source] = (status.st_dev, status.st_ino)
        except OSError:
            continue
    return found


def _database_stamp(folder: Path) -> object:
    """Changes whenever something is written to the index."""
    stamps = []
    for name in (FILE, f"{FILE}-wal"):
        try:
            status = (folder / name).stat()
            stamps.append((status.st_mtime_ns, status.st_size))
        except OSError:
            stamps.append(None)
    return tuple(stamps)
