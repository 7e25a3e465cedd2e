"""Question sets, comparisons and their answers in the workspace's database. What a method has returned from is on disk.

Light: the app's process uses it. A connection is for one thread.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from workbench import database, files
from workbench.compare.question import Question, set_hash
from workbench.compare.records import Answered, Comparison, Ranking, SetSummary
from workbench.compare.schema import MIGRATIONS
from workbench.errors import UserError
from workbench.hybrid import check_name

__all__ = ["Answered", "CompareStore", "Comparison", "Ranking", "SetSummary"]


class CompareStore:
    """All question sets and comparisons of a workspace."""

    def __init__(self, path: Path) -> None:
        """Open the workspace's database.

        Raises:
            UserError: it cannot be opened.
        """
        self._connection = database.connect(path, MIGRATIONS, owner="comparisons")

    def __enter__(self) -> CompareStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    # Question sets

    def add_questions(self, name: str, questions: Iterable[Question]) -> tuple[int, int]:
        """Add questions to a set, made by its first one, in one transaction; those that it has are passed over.

        Returns:
            How many were added, and how many were there.
        """
        check_name(name, "question set")
        added = given = 0
        with database.transaction(self._connection) as db:
            (number,) = db.execute(
                "SELECT coalesce(max(number), -1) FROM question_sets WHERE name = ?", (name,)
            ).fetchone()
            for given, question in enumerate(questions, 1):
                row = (name, number + given, question.key, _json(question.as_dict()))
                added += db.execute("INSERT OR IGNORE INTO question_sets VALUES (?, ?, ?, ?)", row).rowcount
        return added, given - added

    def questions(self, name: str) -> list[Question]:
        """The questions of a set, in the order in which they came.

        Raises:
            UserError: there is no such set.
        """
        rows = self._connection.execute("SELECT question FROM question_sets WHERE name = ? ORDER BY number", (name,))
        found = [Question.from_dict(json.loads(row["question"])) for row in rows]
        if not found:
            names = ", ".join(row["name"] for row in self._names()) or "none"
            raise UserError(
                f"there is no question set {name!r} (there are: {names})",
                do="Import one with `workbench compare questions import FILE --set NAME`.",
            )
        return found

    def sets(self) -> list[SetSummary]:
        """All question sets, by name."""
        return [_summary(row["name"], self.questions(row["name"])) for row in self._names()]

    def delete_set(self, name: str) -> None:
        """Remove a question set; comparisons keep the questions that they asked.

        Raises:
            UserError: there is no such set.
        """
        self.questions(name)
        self._connection.execute("DELETE FROM question_sets WHERE name = ?", (name,))

    def _names(self) -> list[Any]:
        return self._connection.execute("SELECT DISTINCT name FROM question_sets ORDER BY name").fetchall()

    # Comparisons

    def create(self, name: str, spec: dict[str, Any], questions: Sequence[Question]) -> int:
        """Add a comparison with its questions; its id.

        Raises:
            UserError: the name is taken or cannot be one.
        """
        check_name(name, "comparison")
        with database.transaction(self._connection) as db:
            if db.execute("SELECT 1 FROM comparisons WHERE name = ?", (name,)).fetchone():
                raise UserError(f"there is a comparison {name!r} already", do="Choose another name.")
            row = db.execute(
                "INSERT INTO comparisons (name, created_at, spec) VALUES (?, ?, ?)", (name, time.time(), _json(spec))
            )
            db.executemany(
                "INSERT INTO comparison_questions (comparison, number, key, question) VALUES (?, ?, ?, ?)",
                [(row.lastrowid, number, each.key, _json(each.as_dict())) for number, each in enumerate(questions)],
            )
        return int(row.lastrowid or 0)

    def comparisons(self) -> list[Comparison]:
        """All comparisons, newest first."""
        return [
            _comparison(row) for row in self._connection.execute(f"{_COMPARISONS} ORDER BY created_at DESC, id DESC")
        ]

    def comparison(self, which: int | str) -> Comparison:
        """A comparison by its id or its name.

        Raises:
            UserError: there is none.
        """
        column = "id" if isinstance(which, int) else "name"
        row = self._connection.execute(f"{_COMPARISONS} WHERE {column} = ?", (which,)).fetchone()
        if row is None:
            names = ", ".join(each.name for each in self.comparisons()) or "none"
            raise UserError(f"there is no comparison {which!r} (there are: {names})")
        return _comparison(row)

    def asked(self, comparison: int) -> list[Question]:
        """The questions of a comparison, by number."""
        rows = self._connection.execute(
            "SELECT question FROM comparison_questions WHERE comparison = ? ORDER BY number", (comparison,)
        )
        return [Question.from_dict(json.loads(row["question"])) for row in rows]

    def shared(self, comparison: int) -> dict[int, int]:
        """By the id of each other comparison that asks some of its questions: how many."""
        rows = self._connection.execute(
            "SELECT theirs.comparison, count(*) AS questions FROM comparison_questions AS mine"
            " JOIN comparison_questions AS theirs ON theirs.key = mine.key AND theirs.comparison != mine.comparison"
            " WHERE mine.comparison = ? GROUP BY theirs.comparison",
            (comparison,),
        )
        return {row["comparison"]: row["questions"] for row in rows}

    def rankings(self, comparison: int) -> dict[int, Ranking]:
        """What was found for its questions so far, by number."""
        rows = self._connection.execute(
            "SELECT number, ranking FROM comparison_questions WHERE comparison = ? AND ranking IS NOT NULL",
            (comparison,),
        )
        found = {}
        for row in rows:
            value = json.loads(row["ranking"])
            right = None if value["right"] is None else tuple(value["right"])
            found[row["number"]] = Ranking(right, tuple(value["hits"]))
        return found

    def set_ranking(self, comparison: int, number: int, ranking: Ranking) -> None:
        """Keep what was found for a question."""
        value = {"right": ranking.right, "hits": ranking.hits}
        self._connection.execute(
            "UPDATE comparison_questions SET ranking = ? WHERE comparison = ? AND number = ?",
            (_json(value), comparison, number),
        )

    def answered(self, comparison: int) -> set[tuple[int, str]]:
        """Which (number, arm) have their answer."""
        rows = self._connection.execute(
            "SELECT number, arm FROM comparison_answers WHERE comparison = ?", (comparison,)
        )
        return {(row["number"], row["arm"]) for row in rows}

    def add_answer(self, comparison: int, answer: Answered) -> None:
        """Keep an answer; each arm answers a question once.

        Raises:
            UserError: the comparison was deleted.
        """
        row = (
            comparison, answer.number, answer.arm, answer.text,
            _json(answer.citations), _json(answer.figures), _json(answer.scores), time.time(),
        )  # fmt: skip
        try:
            self._connection.execute("INSERT INTO comparison_answers VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        except sqlite3.IntegrityError as error:
            if "FOREIGN KEY" not in str(error):
                raise
            raise UserError("the comparison was deleted", do="Start a new one.") from None

    def answers(self, comparison: int) -> list[Answered]:
        """The answers so far, by question and in the order of the arms."""
        order = {arm: place for place, arm in enumerate(self.comparison(comparison).arms)}
        rows = self._connection.execute(
            "SELECT * FROM comparison_answers WHERE comparison = ? ORDER BY number", (comparison,)
        )
        found = [_answered(row) for row in rows]
        return sorted(found, key=lambda answer: (answer.number, order.get(answer.arm, len(order))))

    def answers_to(self, comparison: int, number: int) -> list[Answered]:
        """The answers to one question so far, in no order of the arms."""
        rows = self._connection.execute(
            "SELECT * FROM comparison_answers WHERE comparison = ? AND number = ?", (comparison, number)
        )
        return [_answered(row) for row in rows]

    def scores(self, comparison: int, metric: str) -> dict[int, dict[str, float | None]]:
        """By question and arm: a metric of the answers so far; None where it says nothing of the answer."""
        rows = self._connection.execute(
            "SELECT number, arm, json_extract(scores, '$.' || ?) AS score FROM comparison_answers WHERE comparison = ?",
            (metric, comparison),
        )
        found: dict[int, dict[str, float | None]] = {}
        for row in rows:
            found.setdefault(row["number"], {})[row["arm"]] = row["score"]
        return found

    def means(self, comparison: int, metric: str) -> dict[str, tuple[float | None, int]]:
        """By arm: the mean of a metric over the answers so far of which it says something, and how many these are."""
        rows = self._connection.execute(
            "SELECT arm, avg(json_extract(scores, '$.' || ?)) AS mean, count(json_extract(scores, '$.' || ?)) AS n"
            " FROM comparison_answers WHERE comparison = ? GROUP BY arm",
            (metric, metric, comparison),
        )
        return {row["arm"]: (row["mean"], row["n"]) for row in rows}

    def set_costs(self, comparison: int, costs: dict[str, Any]) -> None:
        """Keep what was measured; replaces what was there."""
        self._connection.execute("UPDATE comparisons SET costs = ? WHERE id = ?", (_json(costs), comparison))

    def set_verdict(self, comparison: int, verdict: dict[str, Any]) -> None:
        """Keep the verdict; replaces the one that was there."""
        self._connection.execute("UPDATE comparisons SET verdict = ? WHERE id = ?", (_json(verdict), comparison))

    def delete(self, comparison: int) -> None:
        """Remove a comparison and its answers, for good."""
        self._connection.execute("DELETE FROM comparisons WHERE id = ?", (comparison,))


_COMPARISONS = (
    "SELECT *, (SELECT count(*) FROM comparison_questions WHERE comparison = comparisons.id) AS questions,"
    " (SELECT count(*) FROM comparison_answers WHERE comparison = comparisons.id) AS answers,"
    " (SELECT count(coalesce(json_extract(question, '$.document'), json_extract(question, '$.context')))"
    " FROM comparison_questions WHERE comparison = comparisons.id) AS placed FROM comparisons"
)


def _comparison(row: Any) -> Comparison:
    return Comparison(
        row["id"], row["name"], row["created_at"], json.loads(row["spec"]), row["questions"], row["answers"],
        json.loads(row["costs"]), json.loads(row["verdict"]) if row["verdict"] else None,
        row["placed"],
    )  # fmt: skip


def _answered(row: Any) -> Answered:
    return Answered(
        row["number"], row["arm"], row["text"],
        tuple(json.loads(row["citations"])), json.loads(row["figures"]), json.loads(row["scores"]),
    )  # fmt: skip


def _summary(name: str, questions: Sequence[Question]) -> SetSummary:
    return SetSummary(
        name,
        len(questions),
        sum(question.answerable is True for question in questions),
        sum(question.answerable is False for question in questions),
        sum(bool(question.answers) for question in questions),
        sum(bool(question.document) for question in questions),
        sum(bool(question.pattern or question.schema is not None) for question in questions),
        set_hash(questions),
    )


def _json(value: Any) -> str:
    return files.strict_json(value)
