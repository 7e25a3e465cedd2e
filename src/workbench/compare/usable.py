"""Which hybrids can be asked, and what of the workspace their answers go by. Light: nothing of it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from workbench import files
from workbench.compare.spec import Spec
from workbench.errors import UserError
from workbench.hybrid import Hybrid
from workbench.models import local
from workbench.models.adapter import FOLDER, MANIFEST, verified_adapter
from workbench.workspace import Workspace

_NAMED = {
    "index_revision": "the index was built or updated",
    "index_fingerprint": "the index was embedded with another model",
    "adapter_sha256": "the adapter is another one",
    "base_fingerprint": "the base model's weights are others",
    "reranker": "the settings name another reranker",
}


def usable(workspace: Workspace, hybrid: Hybrid) -> tuple[Hybrid, list[str]]:
    """The hybrid without what cannot be used, and what that leaves unknown.

    Raises:
        UserError: neither its adapter nor its index can be used, or it has neither.
    """
    cautions: list[str] = []
    faults: list[UserError] = []

    def check(what: str, left: str, effect: str, look: Callable[[], object]) -> bool:
        try:
            look()
            return True
        except UserError as error:
            faults.append(error)
            cautions.append(
                f"{what} is left out ({error}) Only the effect of {left} is measured, not that of {effect}."
            )
            return False

    kept, run, index = hybrid, hybrid.lora, hybrid.rag
    if run and not check(
        f"The adapter of {run}", "retrieval", "tuning", lambda: _check_adapter(workspace, hybrid.base, run)
    ):
        kept = replace(kept, lora=None)
    if index and not check(f"The index {index}", "tuning", "retrieval", lambda: _check_index(workspace, index)):
        kept = replace(kept, rag=None)
    if kept.lora is None and kept.rag is None:
        if faults:
            raise faults[0]
        raise UserError(
            "there is nothing to compare with the base model",
            do="Name a run with an adapter (--run), an index (--index), or both.",
        )
    return kept, cautions


def check(workspace: Workspace, hybrid: Hybrid) -> None:
    """Find out whether all of a hybrid can be used.

    Raises:
        UserError: its base is not here, its adapter is absent or of another base, or its index cannot be searched.
    """
    base_identity(workspace, hybrid.base)
    if hybrid.lora:
        _check_adapter(workspace, hybrid.base, hybrid.lora)
    if hybrid.rag:
        _check_index(workspace, hybrid.rag)


def pinned(workspace: Workspace, hybrid: Hybrid) -> dict[str, Any]:
    """What `Spec.pinned` holds; None where the hybrid has no adapter or no index."""
    settings = workspace.settings()
    facts = _facts(workspace, hybrid.rag) if hybrid.rag else {}
    manifest = workspace.run(hybrid.lora) / FOLDER / MANIFEST if hybrid.lora else None
    return {
        "min_fit": settings.retrieval.min_fit,
        "min_similarity": settings.retrieval.min_similarity,
        "reranker": settings.retrieval.reranker if hybrid.rag else "",
        "top_p": settings.generation.top_p,
        "index_revision": facts.get("revision"),
        "index_fingerprint": facts.get("fingerprint"),
        "adapter_sha256": files.sha256_of(manifest) if manifest and manifest.is_file() else None,
        "base_fingerprint": base_identity(workspace, hybrid.base),
    }


def base_identity(workspace: Workspace, base: str) -> str:
    """What tells a base model from all others: the fingerprint of its weights; where a remote model is and its name.

    Raises:
        UserError: it is not on this machine and no remote of the settings.
    """
    remote = workspace.settings().remotes.get(base)
    return f"{remote.model} at {remote.url}" if remote else local.fingerprint(local.ensure(base))


def check_unchanged(workspace: Workspace, spec: Spec) -> None:
    """Find out whether the workspace still holds what a comparison began with.

    Raises:
        UserError: answers given now would be those of another model or another library.
    """
    base = Hybrid.parse(spec.arms[0].hybrid).base
    now = pinned(workspace, Hybrid(base, spec.run, spec.index))
    changed = [what for name, what in _NAMED.items() if name in spec.pinned and now[name] != spec.pinned[name]]
    if changed:
        raise UserError(
            f"{' and '.join(changed)} since this comparison began; its answers would be those of two experiments",
            do="Start a new comparison; what was answered stays, with its verdict.",
        )


def _check_adapter(workspace: Workspace, base: str, run: str) -> None:
    if base in workspace.settings().remotes:
        raise UserError(f"{base} is on another server and takes no adapter", do="Leave the adapter out.")
    verified_adapter(workspace.run(run), local.ensure(base))


def _check_index(workspace: Workspace, name: str) -> None:
    facts = _facts(workspace, name)
    if "revision" not in facts:
        raise UserError(f"no build of the index {name!r} was completed", do=f"Run `workbench index update {name}`.")
    if local.fingerprint(local.ensure(facts["embedding_model"])) != facts["fingerprint"]:
        raise UserError(
            f"the index {name!r} was built with other weights of {facts['embedding_model']}",
            do=f"Put the old weights back, or embed it anew with `workbench index update {name} --reembed`.",
        )


def _facts(workspace: Workspace, name: str) -> dict[str, str]:
    from workbench.library.store import FILE, Store

    folder = workspace.index(name)
    if not (folder / FILE).is_file():
        raise UserError(f"there is no index {name!r}", do=f"Build it with `workbench index build {name} FOLDER`.")
    with Store(folder) as store:
        return store.facts()
