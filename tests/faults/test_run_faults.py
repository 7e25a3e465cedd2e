"""Every change that a run makes on the disk fails once: it goes on, and ends as if nothing had been.

Every n of a short run is tried by `make test-all`; the usual suite tries every `_STRIDE`-th, each kind of fault
beginning elsewhere.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from typing import Any

import pytest
import trial
from injector import KINDS
from trial import SHORT, Trials

from workbench.jobs.folder import JobFolder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the injector reads /proc")

_STRIDE = 149
_METHODS: dict[str, dict[str, Any]] = {"sft": {}, "dpo": {"method": "dpo", "dataset": "preferences"}}
_PLACES = {
    r"heavy": "the queue",
    r"\.adapter-|adapter$": "the adapter",
    r"checkpoints": "a checkpoint",
    r"events\.jsonl": "events.jsonl",
    r"status\.json": "status.json",
    r"pairs\.jsonl|prepared\.json": "the frozen pairs",
    r"recipe\.yaml": "recipe.yaml",
}


@pytest.fixture(scope="module")
def undisturbed(trials: Trials) -> Callable[[str], tuple[JobFolder, JobFolder]]:
    """`undisturbed(method)`: the run before its start, and after."""
    made: dict[str, tuple[JobFolder, JobFolder]] = {}

    def run(method: str) -> tuple[JobFolder, JobFolder]:
        if method not in made:
            template = trials.prepared(f"{method}-template", "quick", {**SHORT, **_METHODS[method]})
            job = trials.copy(template, f"{method}-undisturbed")
            assert trials.run(job) == 0
            assert job.status().state == "done"
            assert trial.steps(job) == [1, 2, 3, 4]
            made[method] = template, job
        return made[method]

    return run


@pytest.mark.parametrize("method", ["sft", pytest.param("dpo", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_fault_now_and_then(trials: Trials, undisturbed: Any, tell: Any, kind: str, method: str) -> None:
    first = 5 + 7 * (list(KINDS).index(kind) + len(KINDS) * list(_METHODS).index(method))
    _try_every(_STRIDE, 1 + first % _STRIDE, trials, undisturbed(method), tell, kind, method)


@pytest.mark.slow
@pytest.mark.parametrize("method", list(_METHODS))
@pytest.mark.parametrize("kind", list(KINDS))
def test_every_fault(trials: Trials, undisturbed: Any, tell: Any, kind: str, method: str) -> None:
    tried = _try_every(1, 1, trials, undisturbed(method), tell, kind, method)
    assert tried > 50


def _try_every(stride: int, first: int, trials: Trials, runs: Any, tell: Any, kind: str, method: str) -> int:
    template, whole = runs
    for tried, at in enumerate(range(first, 1000, stride)):
        job = trials.copy(template, f"{method}-disturbed")
        code = trials.run(job, kind, at)
        fired = trials.fired
        if fired is None:
            assert code == 0
            return tried
        outcome = _outcome(trials, job, whole, kind, code, f"{kind} at {at}: {fired}")
        tell(f"{method}: {KINDS[kind]}", _place(fired), outcome)
        shutil.rmtree(job.path)
    raise AssertionError("it never ends")


def _outcome(trials: Trials, job: JobFolder, whole: JobFolder, kind: str, code: int, where: str) -> str:
    state, log = job.status().state, job.log.read_text(encoding="utf-8")
    assert "Traceback" not in log, f"{where}\n{log}"
    if kind in ("kill", "torn", "power"):
        assert code == -9, where
        assert state in ("lost", "done"), where
    else:
        ends = ((0, "done"), (1, "failed"), (1, "lost"), (1, "done"))  # the last: written, and perhaps not durable
        assert (code, state) in ends, f"{where}: {code} {state}\n{log}"
        if state != "done":
            assert "no space left" in (job.status().error or log).lower(), f"{where}\n{log}"
    told = trial.messages(job)
    if state != "done":
        assert trials.resume(job) == 0, f"{where}\n{job.log.read_text(encoding='utf-8')}"
        assert job.status().state == "done", where
    assert trial.adapter(job) == trial.adapter(whole), where
    assert trial.steps(job) == [1, 2, 3, 4], where
    assert trial.leftovers(job) == [], where
    expected, lacking = trial.history(whole), []
    if state == "done":  # nobody had to resume it: a checkpoint may have failed, and its user was told
        lacking = re.findall(r"checkpoint of step (\d+) could not be written", told)
        expected = [event for event in expected if event["type"] != "checkpoint" or str(event["step"]) not in lacking]
    assert trial.history(job) == expected, where
    bit_equal = "bit-equal" if state == "done" else "bit-equal after resume"
    return f"{bit_equal}, one checkpoint less, as told" if lacking else bit_equal


def _place(fired: str) -> str:
    return next((place for pattern, place in _PLACES.items() if re.search(pattern, fired)), "the folder")
