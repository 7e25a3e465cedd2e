"""A dataset's figures in words that tell what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from workbench.pairs.overview import Overview
from workbench.pairs.variety import Variety

WANTED = (500, 5_000)
"""Accepted pairs that tuning a behaviour wants: fewer teach it badly, more teach it no better."""
_DOMINATES = 0.5  # share of the pairs from which on one source is named
_OFTEN = 0.2  # share of the answers from which on a common beginning is named
_ALIKE = 0.1  # share of the prompts from which on a group of similar ones is named
NO_VARIETY = "how varied they are is not known before the checks have run, which embed them"
_SHOWN = 10  # counts of one kind
_NEAR = 0.05  # share of the pairs from which on near-duplicates are named


def amount(statuses: Mapping[str, int]) -> list[str]:
    """How far the accepted pairs are from what tuning a behaviour wants, and what to do about it."""
    least, most = WANTED
    accepted, pending = statuses["accepted"], statuses["pending"]
    wants = f"tuning a behaviour wants {least:,} to {most:,}"
    if accepted > most:
        return [f"{accepted:,} accepted, and {wants}: keep the best and most varied; more of the same only take time."]
    if accepted >= least:
        return [f"{accepted:,} accepted, and {wants}: enough. What is missing in kind now helps more than more pairs."]
    lines = [f"{accepted:,} accepted, and {wants}: {least - accepted:,} more."]
    if pending:
        lines.append(f"{pending:,} are pending: decide about them first.")
    if accepted + pending < least:
        lines.append(f"{'Then bring' if pending else 'Bring'} {least - accepted - pending:,} more: import, or draft.")
    return lines


def too_much(known: Overview) -> list[str]:
    """What the dataset has too much of, by what is known of it; each with what to do."""
    found = []
    total = known.pairs
    if known.sources and len(known.sources) > 1:
        source, number = next(iter(known.sources.items()))
        if number > _DOMINATES * total:
            found.append(f"{number / total:.0%} of the pairs come from {source}: its manner will be learned.")
    if known.openings and known.openings.counts:
        words, number = next(iter(known.openings.counts.items()))
        if number > _OFTEN * known.openings.answers:
            share = f"{number / known.openings.answers:.0%}"
            found.append(f"{share} of the answers begin with “{words}”: the model will, too. Is it meant?")
    if known.variety:
        for group in known.variety.groups:
            if group.prompts > _ALIKE * known.variety.prompts:
                share = f"{group.prompts / known.variety.prompts:.0%}"
                found.append(f"{share} of the prompts are like “{_short(group.prompt)}”: reject some, or bring others.")
    near = (known.flags or {}).get("near-duplicate", 0)
    if near > _NEAR * total:
        found.append(f"{near:,} pairs are near-duplicates: keep one of each kind.")
    return found


def too_long(known: Overview) -> int | None:
    """Pairs longer than the recipe's limit; None where it is not known."""
    if known.lengths is None or known.lengths.unit != "tokens" or known.max_length is None:
        return None
    return known.lengths.beyond(known.max_length)


def length_lines(known: Overview) -> list[str]:
    """The lengths in figures, and what is to be done where they are not counted."""
    lengths = known.lengths
    if lengths is None or not lengths.pairs:
        return []
    median, most, longest = (f"{lengths.quantile(share):,}" for share in (0.5, 0.95, 1.0))
    figures = f"{lengths.unit}: median {median}, 95 % have up to {most}, the longest {longest}"
    if lengths.unit == "characters":
        sample = f" of a sample of {lengths.pairs:,}" if lengths.uncounted else ""
        return [f"Tokens are not counted yet: run the checks. In {figures}{sample}."]
    told = [f"In {figures}."]
    if beyond := too_long(known):
        told.append(
            f"{beyond:,} {_are(beyond)} longer than max_length {known.max_length:,} of recipe {known.recipe},"
            " and a run leaves them out: shorten them, or raise it."
        )
    elif known.max_length:
        told.append(f"None is longer than max_length {known.max_length:,} of recipe {known.recipe}.")
    if lengths.uncounted:
        told.append(f"{lengths.uncounted:,} are not counted yet: run the checks.")
    return told


def described(variety: Variety) -> str:
    """How varied the prompts are, in words."""
    words = "varied" if variety.distance >= 0.25 else "much alike" if variety.distance >= 0.15 else "nearly the same"
    return (
        f"{words}: the nearest other prompt is {variety.distance:.2f} away on average (cosine distance; 0 is the same,"
        " grade-school exercises have 0.33)"
    )


def as_dict(known: Overview) -> dict[str, Any]:
    """For JSON: all figures, and what is said of them."""
    statuses = known.statuses or {}
    return {
        **asdict(known), "pairs": known.pairs, "wanted": WANTED, "too_long": too_long(known),
        "advice": amount(statuses) if statuses else [], "too_much": too_much(known),
    }  # fmt: skip


def lines(known: Overview) -> Iterator[str]:
    """All of it as text, for the command line."""
    yield from amount(known.statuses or {})
    yield from length_lines(known)
    yield from too_much(known)
    if known.variety:
        yield f"Prompts: {described(known.variety)}."
    else:
        yield f"Prompts: {NO_VARIETY}."
    openings = known.openings.counts if known.openings else {}
    for title, counts in (
        ("status", known.statuses), ("source", known.sources), ("tag", known.tags), ("flag", known.flags),
        ("answers begin with", openings),
    ):  # fmt: skip
        shown = [f"{name} {number:,}" for name, number in list((counts or {}).items())[:_SHOWN]]
        more = len(counts or {}) - len(shown)
        yield f"{title}: {', '.join(shown) or 'none'}" + (f", and {more:,} others" if more > 0 else "")
    for group in known.variety.groups if known.variety else ():
        yield f"{group.prompts:,} prompts are like “{_short(group.prompt)}”"


def _are(number: int) -> str:
    return "pair is" if number == 1 else "pairs are"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:59] + "…"
