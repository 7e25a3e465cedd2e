"""Pairs with planted duplicates, made from GSM8K by rules: what `duplicates.py` looks for.

A positive says the same as its base in other letters, words or order. A negative differs from it in a number, or in
which number belongs to what, and is another exercise.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

SYNONYMS = {
    "bought": "purchased", "buys": "purchases", "buy": "purchase", "gave": "handed", "gives": "hands",
    "altogether": "in all", "total": "overall", "kids": "children", "children": "kids", "each": "every",
    "friends": "pals", "friend": "pal", "makes": "produces", "made": "produced", "needs": "requires",
    "need": "require", "wants": "wishes", "also": "as well", "after": "following", "sold": "marketed",
    "sells": "markets", "started": "began", "starts": "begins", "house": "home", "store": "shop", "big": "large",
    "small": "little", "money": "cash", "spends": "pays out", "spent": "paid out", "earns": "makes",
    "remaining": "leftover", "left": "remaining", "collected": "gathered", "received": "got", "gets": "receives",
    "got": "received", "finished": "completed", "finish": "complete", "picked": "plucked", "movie": "film",
    "candy": "sweets", "trip": "journey", "car": "automobile", "only": "just", "every": "each", "job": "work",
    "currently": "at present", "because": "since", "if": "provided that", "decides": "chooses", "decided": "chose",
    "people": "persons", "costs": "is priced at", "cost": "price", "uses": "employs", "used": "employed",
    "reads": "goes through", "eats": "consumes", "ate": "consumed", "works": "labours", "walks": "strolls",
    "has": "owns", "had": "owned", "during": "in the course of", "then": "afterwards", "about": "around",
}  # fmt: skip
WORDS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve", "twice", "half", "thrice")
FRAMES = (
    "Here is a problem to solve. {} Please work it out step by step.",
    "Can you help me with this? {} Thank you!",
    "Solve this exercise: {}",
    "I have a question. {} What is the answer?",
)
ASKED = (
    (re.compile(r"How many ([\w ]+?) (did|does|do|will|are|were|would|has|have|can)\b", re.I), r"What number of \1 \2"),
    (re.compile(r"How much ([\w ]+?) (did|does|do|will|is|was|would|has|have|can)\b", re.I), r"What amount of \1 \2"),
    (re.compile(r"How (many|much)\b"), r"Tell me how \1"),
    (re.compile(r"What is\b"), "Calculate"),
)
_NUMBER = re.compile(r"(?<![\w.,])\d+(?:,\d{3})*(?![\w,]*\d)")


@dataclass(frozen=True)
class Planted:
    """A row of the benchmark."""

    prompt: str
    answer: str
    base: int | None = None
    """The number of the row that it was made from; None: it stands for itself."""
    kind: str = ""


def typos(text: str, dice: random.Random) -> str | None:
    """A slip of the finger in one word of eight."""
    words = text.split(" ")
    long = [at for at, word in enumerate(words) if len(word) > 3 and word.isalpha()]
    for at in dice.sample(long, min(len(long), max(2, len(words) // 8))):
        word, place = words[at], dice.randrange(1, len(words[at]) - 1)
        words[at] = dice.choice(
            (
                word[:place] + word[place + 1] + word[place] + word[place + 2 :],
                word[:place] + word[place + 1 :],
                word[:place] + word[place] + word[place:],
                word[:place] + dice.choice("aeiourstn") + word[place + 1 :],
            )
        )
    return " ".join(words)


def swapped_clauses(text: str, dice: random.Random) -> str | None:
    """Every sentence with a comma or an "and" in it said the other way round."""
    changed = []
    for sentence in _sentences(text):
        body, end = sentence[:-1], sentence[-1]
        if (found := re.fullmatch(r"(If|When|After|Since|Because) ([^,]+), (.+)", body)) and end in ".?":
            sentence = f"{_upper(found[3])} {found[1].lower()} {found[2]}{end}"
        elif found := re.fullmatch(r"(.{12,}?)(, and | and |, but | while |, then |, )(.{12,})", body):
            sentence = f"{_upper(found[3])}{found[2]}{_lower(found[1])}{end}"
        changed.append(sentence)
    return " ".join(changed)


def reordered(text: str, dice: random.Random) -> str | None:
    """The sentences before the question in another order."""
    *told, asked = _sentences(text)
    if len(told) < 2:
        return None
    other = told[:]
    while other == told:
        dice.shuffle(other)
    return " ".join([*other, asked])


def synonyms(text: str, dice: random.Random) -> str | None:
    """Three words or more said otherwise."""
    count = 0

    def other(match: re.Match[str]) -> str:
        nonlocal count
        word = SYNONYMS.get(match[0].lower())
        count += word is not None
        return match[0] if word is None else _upper(word) if match[0][0].isupper() else word

    changed = re.sub(r"[A-Za-z]+", other, text)
    return changed if count >= 3 else None


def reworded(text: str, dice: random.Random) -> str | None:
    """The question asked otherwise, with something polite around it, and a few synonyms."""
    for pattern, template in ASKED:
        text = pattern.sub(template, text)
    return dice.choice(FRAMES).format(synonyms(text, dice) or text)


def other_number(text: str, dice: random.Random) -> str | None:
    """One number changed."""
    found = list(_NUMBER.finditer(text))
    if not found:
        return None
    return _replaced(text, match := dice.choice(found), _other(match[0], dice))


def other_word(text: str, dice: random.Random) -> str | None:
    """One number that is written as a word changed."""
    found = list(re.finditer(rf"\b({'|'.join(WORDS)})\b", text))
    if not found:
        return None
    match = dice.choice(found)
    return _replaced(text, match, dice.choice([word for word in WORDS if word != match[0]]))


def exchanged_numbers(text: str, dice: random.Random) -> str | None:
    """Two numbers exchanged."""
    found = list(_NUMBER.finditer(text))
    pairs = [(a, b) for at, a in enumerate(found) for b in found[at + 1 :] if a[0] != b[0]]
    if not pairs:
        return None
    first, second = dice.choice(pairs)
    return _replaced(_replaced(text, second, first[0]), first, second[0])


def all_other_numbers(text: str, dice: random.Random) -> str | None:
    """Every number changed: another exercise of the same kind."""
    if len(_NUMBER.findall(text)) < 2:
        return None
    return _NUMBER.sub(lambda match: _other(match[0], dice), text)


Rule = Callable[[str, random.Random], str | None]
SAME: dict[str, Rule] = {
    "typos": typos,
    "swapped clauses": swapped_clauses,
    "reordered sentences": reordered,
    "synonyms": synonyms,
    "reworded": reworded,
}
OTHER: dict[str, Rule] = {
    "another number": other_number,
    "another number word": other_word,
    "numbers exchanged": exchanged_numbers,
}


def planted(data: Path, size: int, seed: int = 0) -> list[Planted]:
    """The rows: GSM8K's own, a tenth planted ones (of each kind as many), and exercises with all numbers changed.

    Args:
        data: the folder that holds gsm8k-train.jsonl.
        size: rows in all.
        seed: of the choices.
    """
    dice = random.Random(seed)
    with (data / "gsm8k-train.jsonl").open(encoding="utf-8") as file:
        rows = [Planted(" ".join(row["question"].split()), row["answer"]) for row in map(json.loads, file)]
    dice.shuffle(rows)
    rows = rows[: int(size * 0.37)]
    seen = {row.prompt for row in rows}
    bases = list(range(len(rows)))
    dice.shuffle(bases)
    free = iter(bases)
    rules = {**SAME, **OTHER}
    made: list[Planted] = []
    for kind, rule in rules.items():
        made += _made(kind, rule, size // 10 // len(rules), rows, free, seen, dice)
        free = iter([at for at in bases if at not in {each.base for each in made}])
    while len(rows) + len(made) < size:
        base = dice.randrange(len(rows))
        prompt = all_other_numbers(rows[base].prompt, dice)
        if prompt and prompt not in seen:
            seen.add(prompt)
            made.append(Planted(prompt, _renumbered(rows[base].answer, dice), base, "all numbers changed"))
    return rows + made


def _made(
    kind: str, rule: Rule, count: int, rows: list[Planted], free: Iterator[int], seen: set[str], dice: random.Random
) -> Iterator[Planted]:
    for base in free:
        if not count:
            return
        prompt = rule(rows[base].prompt, dice)
        if prompt and prompt not in seen:
            seen.add(prompt)
            count -= 1
            answer = rows[base].answer
            yield Planted(prompt, answer if kind in SAME else _renumbered(answer, dice), base, kind)


def _renumbered(answer: str, dice: random.Random) -> str:
    return re.sub(r"#### .*", lambda match: f"#### {dice.randrange(1000)}", answer)


def _sentences(text: str) -> list[str]:
    return [sentence for sentence in re.split(r"(?<=[.?!]) ", text) if sentence]


def _other(number: str, dice: random.Random) -> str:
    value = int(number.replace(",", ""))
    choices = [other for other in (value - 2, value - 1, value + 1, value + 2, value * 2, value + 10) if other > 1]
    return str(dice.choice(choices))


def _replaced(text: str, match: re.Match[str], word: str) -> str:
    return text[: match.start()] + word + text[match.end() :]


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lower(text: str) -> str:
    return text if text[:1] == "I" or text[1:2].isupper() else text[:1].lower() + text[1:]
