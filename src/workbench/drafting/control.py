"""Starting the jobs; what can be refused is refused before a process starts. Light: the app calls it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from workbench.errors import UserError
from workbench.hybrid import Hybrid, check_name
from workbench.jobs import control
from workbench.jobs.folder import JobFolder
from workbench.library.catalogue import opened
from workbench.pairs.store import PairStore
from workbench.workspace import Workspace

HOTTEST = 2.0
"""The highest temperature, as the settings have it."""
LIMIT = 20
"""Passages or prompts, where nobody says: a small model takes a minute for them."""
DRAFT_TOKENS = 160
"""Tokens at most in a draft, where nobody says: a question and two sentences. The setting is for answers alone."""
TEMPERATURE = 0.8
"""Of two samples, where nobody says."""


def start_draft(
    workspace: Workspace,
    index: str,
    dataset: str,
    *,
    hybrid: str | None = None,
    limit: int = LIMIT,
    temperature: float = 0.0,
    max_tokens: int = DRAFT_TOKENS,
    again: bool = False,
) -> JobFolder:
    """Start to draft pairs from the passages of an index.

    Args:
        workspace: with the index.
        index: its name.
        dataset: where the drafts go, pending; made by the first.
        hybrid: which model drafts, also a remote one of the settings; None: the settings' base model. Its own index is
            not searched: it is shown the passage.
        limit: passages that it is shown.
        temperature: 0 is greedy.
        max_tokens: tokens at most in a draft; one that is cut is dropped.
        again: also passages that this dataset was drafted from.

    Raises:
        UserError: there is no such index, or an argument is at fault.
    """
    with opened(workspace, index):
        check_name(dataset, "dataset")
    _check(limit, temperature)
    arguments = {
        "index": index,
        "dataset": dataset,
        "hybrid": _hybrid(workspace, hybrid),
        "limit": limit,
        "temperature": temperature,
        "max_tokens": max_tokens,
        "again": again,
    }
    return control.start(workspace, "draft", arguments, title=f"draft from {index} into {dataset}")


def start_sample(
    workspace: Workspace,
    dataset: str,
    *,
    ids: Sequence[int] | None = None,
    hybrid: str | None = None,
    limit: int = LIMIT,
    temperature: float = TEMPERATURE,
    max_tokens: int | None = None,
    seed: int | None = None,
    again: bool = False,
) -> JobFolder:
    """Start to sample two answers to each of some prompts; a person chooses between them.

    Args:
        workspace: with the dataset.
        dataset: whose prompts, and where the undecided pairs go, pending.
        ids: only the prompts of these pairs; None: those of the dataset that have no two answers yet.
        hybrid: which model answers, also a remote one of the settings; None: the settings' base model.
        limit: prompts at most.
        temperature: above 0.
        max_tokens: tokens at most in an answer; None: the setting.
        seed: of sampling; None: another one at every start.
        again: also prompts that have two answers.

    Raises:
        UserError: there is no such dataset, or an argument is at fault.
    """
    _check(limit, temperature)
    if not temperature:
        raise UserError("at temperature 0 both answers are the same", do="Take one above 0, such as 0.8.")
    with PairStore(workspace.database) as store:
        names = [each.name for each in store.datasets()]
    if dataset not in names:
        known = f"There are: {', '.join(names)}." if names else "Import one with `workbench pairs import`."
        raise UserError(f"there is no dataset {dataset!r}", do=known)
    arguments = {
        "dataset": dataset,
        "ids": None if ids is None else list(ids),
        "hybrid": _hybrid(workspace, hybrid),
        "limit": limit,
        "temperature": temperature,
        "max_tokens": max_tokens,
        "seed": secrets.randbits(31) if seed is None else seed,
        "again": again,
    }
    return control.start(workspace, "sample", arguments, title=f"two answers for {dataset}")


def _hybrid(workspace: Workspace, name: str | None) -> str:
    """The whole name of the model.

    Raises:
        UserError: it is not the name of a hybrid, or a run or an index that it names is absent.
    """
    hybrid = Hybrid.parse(name or workspace.settings().base_model)
    if hybrid.lora and not workspace.run(hybrid.lora).is_dir():
        raise UserError(f"there is no run {hybrid.lora!r}", do="See `workbench runs list`.")
    if hybrid.rag:
        with opened(workspace, hybrid.rag):
            pass
    return str(hybrid)


def _check(limit: int, temperature: float) -> None:
    if limit < 1:
        raise UserError(f"{limit} is no number of them", do="Give 1 or more.")
    if not 0 <= temperature <= HOTTEST:
        raise UserError(f"{temperature:g} is no temperature", do=f"Give 0 to {HOTTEST:g}.")
