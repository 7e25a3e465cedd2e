"""The jobs: drafting pairs from the passages of an index, and sampling two answers to each of some prompts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import count
from typing import Any

from workbench.chat.answer import TooLong
from workbench.chat.client import Refused
from workbench.drafting import drafts, samples
from workbench.drafting.asking import Asker
from workbench.drafting.gathered import Gathered, Made
from workbench.drafting.outcomes import DRAFTS, SAMPLES
from workbench.drafting.passages import DraftedPassages, FoundPassage, spread
from workbench.drafting.store import ProposalStore
from workbench.errors import UserError
from workbench.jobs.context import Context, StopRequested
from workbench.pairs.pair import NewPair, NotAPair

REFUSED = "refused"
"""The outcome of what the server refused; it can be asked for again, when the server is mended."""
_REFUSALS = 3
"""So many at the very beginning end the job: the server takes none."""
DRAFTED = "drafted"
"""The tag of a drafted pair."""


def draft(context: Context) -> dict[str, Any]:
    """Draft a question and its answer from each of `limit` passages of an index, for a person to judge.

    Arguments of the job: `index`, `dataset`, `hybrid`, `limit` (passages that the model is shown), `temperature`,
    `max_tokens`, `again` (also passages that the dataset was drafted from).

    Returns:
        index, dataset, passages, kept, flagged and outcomes (how many passages each became of); where the server
        refused some, refused: what it said.

    Raises:
        UserError: the index or the model cannot be used, or the server refuses the first passages; what was drafted
            before is kept, as when it is stopped.
        StopRequested: the user asked to stop.
    """
    asked = context.arguments
    with Gathered(context.folder) as gathered:
        with _keeping(gathered, partial(_keep_drafts, context)):
            _draft(context, gathered)
        done = {"index": asked["index"], "dataset": asked["dataset"], **_result(gathered, DRAFTS)}
        done["passages"] = len(gathered.made)
        context.message(told(done, "passage", DRAFTS))
        return done


def sample(context: Context) -> dict[str, Any]:
    """Draw two different answers to each of some prompts of a dataset, for a person to choose from.

    Arguments of the job: `dataset`, `ids` (of pairs; None: prompts that have no two answers yet), `hybrid`, `limit`
    (prompts), `temperature`, `max_tokens`, `seed`, `again` (also prompts that have two answers).

    Returns:
        dataset, prompts, kept, flagged and outcomes (how many prompts each became of); where the server refused some,
        refused: what it said.

    Raises:
        UserError: the model cannot be used, or the server refuses the first prompts; what was sampled before is kept,
            as when it is stopped.
        StopRequested: the user asked to stop.
    """
    asked = context.arguments
    with Gathered(context.folder) as gathered:
        with _keeping(gathered, partial(_keep_samples, context)):
            _sample(context, gathered)
        done = {"dataset": asked["dataset"], **_result(gathered, SAMPLES), "prompts": len(gathered.made)}
        context.message(told(done, "prompt", SAMPLES))
        return done


def told(result: dict[str, Any], noun: str, outcomes: dict[str, str]) -> str:
    """A job's result in one line: how many of what became pairs, and why the others did not."""
    total = result["passages" if noun == "passage" else "prompts"]
    if not total:
        return f"no {noun} is left that was not taken before; ask for them again to go through all"
    parts = [f"{result['kept']:,} of {total:,} {noun}s gave a pair, pending"]
    parts += [f"{number:,}: {outcomes[name]}" for name, number in result["outcomes"].items() if name != "kept"]
    if result.get(REFUSED):
        parts[-1] += f" ({result[REFUSED]})"
    return "; ".join(parts)


# Drafting


def _draft(context: Context, gathered: Gathered) -> None:
    asked, workspace = context.arguments, context.workspace
    limit = asked["limit"]
    with DraftedPassages(workspace.database) as drafted, ProposalStore(workspace.database) as store:
        before = set() if asked.get("again") else drafted.of(asked["dataset"])
        known = store.prompts(asked["dataset"], drafts.alike)
    seen = {made.key for made in gathered.made}
    known |= {drafts.alike(pair.messages[-1]["content"]) for made in gathered.made if (pair := made.new_pair())}
    asker = _asker(context)
    with closing(spread(workspace, asked["index"])) as passages:
        for found in passages:
            if len(gathered.made) >= limit:
                break
            if found.key in before or found.key.hex() in seen:
                continue
            context.check_stop()
            gathered.add(_drafted(context, asker, found, known))
            _must_be_taken(gathered)
            _tell(context, gathered, limit, "passages", "Drafting")


def _drafted(context: Context, asker: Asker, found: FoundPassage, known: set[bytes]) -> Made:
    key, passage = found.key.hex(), found.passage
    try:
        answer = asker.ask(drafts.prompt(passage), context.stop_requested, system="", alone=True, stop=drafts.STOP)
    except TooLong:
        return Made(key, "too_long")
    except Refused as error:
        return Made(key, REFUSED, why=str(error))
    context.check_stop()
    assert answer is not None
    draft = drafts.read(answer.text, passage, ended=answer.figures.finish_reason != "length")
    if draft.outcome != "kept":
        return Made(key, draft.outcome)
    alike = drafts.alike(draft.question)
    if alike in known:
        return Made(key, "duplicate")
    place = f"{context.arguments['index']}/{found.document}"
    where = f", {found.place}" if found.place else ""
    pair = {
        "messages": [{"role": "user", "content": draft.question}],
        "completion": draft.answer,
        "tags": [DRAFTED],
        "source": place + (f":{found.number}" if found.number else ""),
        "note": f"Drafted by {asker.hybrid} from {place}{where}:\n\n{passage.text}",
    }
    if not _is_pair(pair):
        return Made(key, "format")
    known.add(alike)
    flag = f"the passage carries {draft.support:.0%} of the answer" if draft.doubtful else ""
    return Made(key, "kept", pair, flag)


def _keep_drafts(context: Context, made: list[Made]) -> None:
    asked = context.arguments
    with ProposalStore(context.workspace.database) as store, DraftedPassages(context.workspace.database) as drafted:
        store.propose(asked["dataset"], made, flag="ungrounded", label=f"drafted from {asked['index']}")
        drafted.add(
            asked["dataset"], [(bytes.fromhex(each.key), each.outcome) for each in made if each.outcome != REFUSED]
        )


# Sampling


def _sample(context: Context, gathered: Gathered) -> None:
    asked = context.arguments
    with ProposalStore(context.workspace.database) as store:
        prompts = samples.prompts(
            store, asked["dataset"], asked.get("ids"), limit=asked["limit"], again=bool(asked.get("again"))
        )
    done = {made.key for made in gathered.made}
    left = [each for each in prompts.items() if each[0] not in done][: max(0, asked["limit"] - len(done))]
    total = len(done) + len(left)
    asker = _asker(context)
    for key, messages in left:
        context.check_stop()
        gathered.add(_sampled(context, asker, key, messages))
        _must_be_taken(gathered)
        _tell(context, gathered, total, "prompts", "Answering twice")


def _sampled(context: Context, asker: Asker, key: str, messages: list[dict[str, str]]) -> Made:
    seeds = random.Random(f"{context.arguments['seed']} {key}")
    answers: list[str] = []
    outcome, cut = "", False
    for attempt in count(1):
        try:
            answer = asker.ask(tuple(messages), context.stop_requested, seed=seeds.getrandbits(31))
        except TooLong:
            return Made(key, "too_long")
        except Refused as error:
            return Made(key, REFUSED, why=str(error))
        context.check_stop()
        assert answer is not None
        if answer.figures.finish_reason == "length":
            cut = True  # half an answer teaches to stop in the middle, or is preferred for being whole
        else:
            outcome = samples.take(answers, answer.text.strip())
        if len(answers) == 2:
            break
        if attempt == samples.MOST_ATTEMPTS:
            return Made(key, "cut_off" if cut else outcome)
    pair = samples.pair(messages, answers, asker.hybrid, context.arguments["temperature"])
    return Made(key, "kept", pair) if _is_pair(pair) else Made(key, "empty")


def _keep_samples(context: Context, made: list[Made]) -> None:
    with ProposalStore(context.workspace.database) as store:
        store.propose(context.arguments["dataset"], made, flag="", label="two samples of a model")


# Both


@contextmanager
def _keeping(gathered: Gathered, into: Any) -> Iterator[None]:
    """Bring what was made into the dataset at the end, also when the user stops it or the model fails."""
    try:
        yield
    except (StopRequested, UserError):
        gathered.keep(into)
        raise
    gathered.keep(into)


def _asker(context: Context) -> Asker:
    asked = context.arguments
    context.progress(0, message=f"Loading {asked['hybrid']}")
    asker = Asker(
        context.workspace, asked["hybrid"], max_tokens=asked.get("max_tokens"), temperature=asked["temperature"]
    )
    asker.load()
    return asker


def _must_be_taken(gathered: Gathered) -> None:
    """Give up where the server has refused all there was, and that was enough to tell."""
    made = gathered.made
    if len(made) >= _REFUSALS and all(each.outcome == REFUSED for each in made):
        raise UserError(f"the server refused all of the first {len(made)}: {made[-1].why}")


def _tell(context: Context, gathered: Gathered, total: int, unit: str, message: str) -> None:
    counts = gathered.counts
    context.progress(
        len(gathered.made), total, unit=unit, message=message,
        kept=counts["kept"], dropped=len(gathered.made) - counts["kept"],
    )  # fmt: skip


def _result(gathered: Gathered, outcomes: dict[str, str]) -> dict[str, Any]:
    counts = gathered.counts
    refusals = [made.why for made in gathered.made if made.outcome == REFUSED]
    return {
        **({REFUSED: refusals[-1]} if refusals else {}),
        "kept": counts["kept"],
        "flagged": sum(bool(made.flag) for made in gathered.made),
        "outcomes": {name: counts[name] for name in outcomes if counts[name]},
    }


def _is_pair(fields: dict[str, Any]) -> bool:
    try:
        NewPair(**{**fields, "tags": tuple(fields["tags"])})
    except NotAPair:
        return False
    return True
