"""What keeps a million pairs quick: indexes that are used, a journal of ranges, search that follows; and migrating."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from workbench import database
from workbench.pairs import catching_up, plan
from workbench.pairs.pair import NewPair
from workbench.pairs.prepared import StoredRow, stored
from workbench.pairs.query import Query
from workbench.pairs.schema import MIGRATIONS
from workbench.pairs.store import PairStore, Selection
from workbench.workspace import Workspace


def pair(number: int, **more: object) -> NewPair:
    about = f"{'refunds' if number % 3 else 'ferries'} {'=>' if number % 25 else '<>'}"
    prompt = f"question {number} about {about} {'x' * (number % 7)}"
    answer = {"chosen": f"good {number}", "rejected": "bad"} if number % 10 == 9 else {"completion": f"answer {number}"}
    source = f"{'ab'[number % 2]}.jsonl:{number}"
    return NewPair(messages=[{"role": "user", "content": prompt}], source=source, **answer, **more)  # type: ignore


def check_search_index(path: Path) -> None:
    """The full-text index says what a fresh one of the same texts says."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE VIRTUAL TABLE temp.held USING fts5vocab (main, pair_search, instance)")
        connection.execute(
            "CREATE VIRTUAL TABLE temp.fresh USING fts5 (prompt, answer, note, content = '', columnsize = 0,"
            " tokenize = 'unicode61 remove_diacritics 2')"
        )
        connection.execute("INSERT INTO fresh (rowid, prompt, answer, note) SELECT * FROM pair_texts")
        connection.execute("CREATE VIRTUAL TABLE temp.expected USING fts5vocab (temp, fresh, instance)")
        held, expected = (connection.execute(f"SELECT * FROM {name}").fetchall() for name in ("held", "expected"))
        assert held == expected


@pytest.fixture
def store(workspace: Workspace) -> Iterator[PairStore]:
    with PairStore(workspace.database) as store:
        store.add("d", (pair(number) for number in range(60)))
        store.add("other", [pair(100)])
        store.set_status(range(5, 30), "accepted")
        store.add_tags(range(20, 40), ["tone"])
        store.add_tags([7], ["rare"])
        store.set_flags("d", "duplicates", [(id, "near-duplicate", "") for id in range(10, 50)])
        store.set_lengths([(p.id, p.key, 100 - p.id) for p in store.pairs("d") if p.id % 4])
        store.edit(12, completion="edited")
        yield store


LINES = [
    "", "status:accepted", "status:accepted,rejected", "-status:accepted", "tag:tone", "tag:rare",
    "flag:near-duplicate",
    "source:a.jsonl", "source:a.jsonl:8", "tokens>60", "chars<40", "edited:yes", "kind:preference", "kind:completion",
    "refunds", "ferr", "ferr status:accepted tag:tone", "-refunds", '"question 7"', "=> tag:tone", "refunds tag:rare",
    "<> question", "<> quest", "-tag:tone flag:near-duplicate tokens<90", "id:3,9 refunds",
]  # fmt: skip


def test_whatever_end_a_selection_is_looked_up_from_it_is_the_same(
    store: PairStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> list[object]:
        listed: list[object] = []
        for dataset in ("d", None):
            for line in LINES:
                for sort in ("", "new", "status", "-source", "tokens", "-tokens", "chars", "-chars"):
                    selection = Selection(dataset, query=Query.parse(f"{line} sort:{sort}"))
                    ids = list(store.ids(selection))
                    assert list(store.first_ids(selection, 5)) == ids[:5], (dataset, line, sort)
                    assert store.count(selection) == len(ids)
                    listed.append((dataset, line, sort, ids))
        return listed

    reference = found()
    assert len({str(row) for row in reference}) > 200
    for few, some, many, probed in ((0, 0, 0, 0), (0, 0, 0, 40), (15, 15, 15, 40), (10**6, 10**6, 10**6, 0)):
        for name, value in (("_FEW", few), ("_SOME", some), ("_MANY", many), ("_PROBED", probed)):
            monkeypatch.setattr(plan, name, value)
        assert found() == reference


@pytest.mark.parametrize(
    ("line", "steps"),
    [
        ("", ["SEARCH pairs USING COVERING INDEX pairs_by_dataset (dataset=?)"]),
        ("status:accepted", ["SEARCH pairs USING COVERING INDEX pairs_by_status (dataset=? AND status=?)"]),
        ("sort:chars", ["SEARCH pairs USING COVERING INDEX pairs_by_chars (dataset=?)"]),
        ("sort:-source", ["SEARCH pairs USING COVERING INDEX pairs_by_source (dataset=?)"]),
        ("chars>9 sort:chars", ["SEARCH pairs USING COVERING INDEX pairs_by_chars (dataset=? AND chars>?)"]),
        ("tag:tone", ["SEARCH lead USING PRIMARY KEY (dataset=? AND tag=?)"]),
        ("flag:near-duplicate", ["SEARCH lead USING COVERING INDEX pair_flags_by_flag (flag=?)"]),
        ("sort:tokens", ["SCAN l USING INDEX pair_lengths_by_tokens"]),
        ("refunds", ["SCAN pair_search VIRTUAL TABLE"]),
    ],
)
def test_the_first_pairs_come_from_an_index_unsorted(
    store: PairStore, monkeypatch: pytest.MonkeyPatch, line: str, steps: list[str]
) -> None:
    """As at a million, where every condition leaves many."""
    monkeypatch.setattr(plan, "_FEW", 0)
    with closing(sqlite3.connect(store._path)) as connection:
        statement, parameters = plan.statements(connection, Selection("d", query=Query.parse(line)), first=5)[0]
        told = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    assert [step for step in steps if not any(line.startswith(step) for line in told)] == [], told
    assert not any("TEMP B-TREE" in line for line in told)


def test_a_change_of_all_is_one_row_of_the_journal_and_of_every_other_one_a_row_each(store: PairStore) -> None:
    def rows() -> int:
        with closing(sqlite3.connect(store._path)) as connection:
            return connection.execute("SELECT count(*) FROM pair_changes").fetchone()[0]

    store.set_status(range(1, 61), "pending")
    before = rows()
    assert store.set_status(Selection("d"), "rejected") == 60
    assert rows() == before + 1
    assert store.set_status(range(2, 62, 2), "accepted") == 30
    assert rows() == before + 31
    assert [change.label for change in store.history(33)][-1] == "rejected 60 pairs"
    assert [change.after for change in store.history(34)][-2:] == [{"status": "rejected"}, {"status": "accepted"}]
    assert store.delete(Selection("d")) == 60
    assert rows() == before + 32
    for _ in range(3):
        store.undo()
    assert store.count("d", status="pending") == 60


def test_many_pairs_are_found_by_words_a_little_later_and_by_all_else_at_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "AT_ONCE", 10)
    monkeypatch.setattr(catching_up, "_BATCH", 7)
    with PairStore(workspace.database) as store, PairStore(workspace.database) as other:
        store.add_rows("d", [[stored(pair(number)) for number in range(30)]])
        assert (store.unsearched(), store.count("d"), store.count("d", search="answer")) == (30, 30, 0)
        store.edit(3, completion="an edited one")  # what is not in the index yet is not taken out of it
        store.set_note([4], "noted")
        store.delete([5])
        versions, told = {other.version()}, []
        store.catch_up(progress=lambda *done: told.append(done))
        assert told == [(7, 30, "pairs"), (14, 30, "pairs"), (21, 30, "pairs"), (28, 30, "pairs"), (30, 30, "pairs")]
        assert other.version() not in versions  # so that whoever shows a search looks again
        assert (other.unsearched(), other.count("d", search="question")) == (0, 29)
        assert [other.count("d", search=word) for word in ("edited", "noted")] == [1, 1]
        assert store.undo() == "deleted pair 5"
        assert other.count("d", search="question") == 30
        for _ in range(3):
            store.undo()
        store.add_rows("d", [[stored(pair(200))]])  # ends what could be redone: 30 pairs are gone for good
        store.catch_up()
        assert [row[0] for row in store._rows("SELECT id FROM pair_contents")] == [31]
        store.add_rows("e", [[stored(pair(number)) for number in range(300, 330)]])
        assert store.set_status(Selection("e", search="question"), "accepted") == 30  # a change waits for the search
    check_search_index(workspace.database)


def test_a_large_quick_source_is_added_as_it_comes_and_what_fails_leaves_nothing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.pairs import adding

    monkeypatch.setattr(adding, "_ASIDE", 100)

    def batches(fails: bool) -> Iterator[list[StoredRow]]:
        for start in range(0, 400, 50):
            if fails and start == 300:
                raise RuntimeError("the file is gone")
            yield [stored(pair(number)) for number in range(start, start + 60)]  # ten of them come twice

    with PairStore(workspace.database) as store:
        store.add("d", [pair(7)])
        before = store.version()
        with pytest.raises(RuntimeError):
            store.add_rows("d", batches(fails=True), from_disk=True)
        assert (store.version(), store.count(), store.unsearched()) == (before, 1, 0)
        result = store.add_rows("d", batches(fails=False), from_disk=True)
        assert (result.added, result.duplicates) == (409, 71)
        again = store.add_rows("d", batches(fails=False), from_disk=True)
        assert (again.added, again.duplicates) == (0, 480)
        assert [p.source for p in store.page("d", offset=1, limit=3)] == ["a.jsonl:0", "b.jsonl:1", "a.jsonl:2"]
        assert store.undo() == "added: 409 pairs into d"
        assert store.count() == 1
        assert store.redo() == "added: 409 pairs into d"
        assert len(store.ids("d")) == store.count("d", search="about") == 410


def test_a_workspace_of_the_first_release_migrates_with_its_journal(workspace: Workspace) -> None:
    """Its steps, done and undone, are what they were: deleted pairs come back, edits are told, words are found."""
    workspace.database.parent.mkdir(parents=True, exist_ok=True)
    fill_first_release(workspace.database)
    with PairStore(workspace.database) as store:
        assert [(p.id, p.status, p.completion, p.source) for p in store.pairs()] == [
            (1, "accepted", "new one", "a.jsonl:007"),
            (2, "pending", "two", "a.jsonl:2"),
        ]
        assert store.count(search="new") == store.count(search="two") == 1
        assert store.count(search="three") == 0
        assert list(store.ids(Selection("d", query=Query.parse("edited:yes")))) == [1]
        assert [change.label for change in store.history(1)] == ["added", "accepted pair 1", "edited pair 1"]
        original = store.original(1)
        assert original is not None
        assert original.completion == "one"
        assert store.redo() == "noted pair 2"
        assert (store.get(2).note, store.count(search="later")) == ("later", 1)
        assert [store.undo() for _ in range(2)] == ["noted pair 2", "deleted pair 3"]
        assert (store.get(3).completion, store.count(search="three")) == ("three", 1)
        assert [store.undo() for _ in range(3)] == ["edited pair 1", "accepted pair 1", "added"]
        assert (store.count(), store.undo()) == (0, None)
        while store.redo():
            pass
        assert [(p.id, p.completion, p.note) for p in store.pairs()] == [(1, "new one", ""), (2, "two", "later")]
        assert store.add("d", [pair(1)]).added == 1
        assert store.page("d")[-1].id == 4  # no id is used twice
    check_search_index(workspace.database)


def test_flags_of_an_earlier_release_are_taken_to_be_about_the_pairs_as_they_are(workspace: Workspace) -> None:
    workspace.database.parent.mkdir(parents=True, exist_ok=True)
    fill_first_release(workspace.database)
    with closing(database.connect(workspace.database, MIGRATIONS[:-1], owner="pairs")) as connection:
        connection.execute("INSERT INTO pair_flags VALUES (1, 'empty', 'of e', 'texts')")
    with PairStore(workspace.database) as store:
        assert [flag.detail for flag in store.flags_of([1])[1]] == ["of e"]


def test_a_tag_that_was_called_undecided_does_not_stick(workspace: Workspace) -> None:
    """Of a preference pair: accepted, tagged so, and the tag taken away; of another one that was deleted."""
    workspace.database.parent.mkdir(parents=True, exist_ok=True)
    messages = '[{"role": "user", "content": "p"}]'
    with closing(database.connect(workspace.database, MIGRATIONS[:1], owner="pairs")) as connection:
        for statement in (
            f"INSERT INTO pairs VALUES (1, 'd', x'01', 'accepted', '[]', '', '', '{messages}', NULL, 'a', 'b')",
            "INSERT INTO pair_steps (id, kind, label) VALUES (1, 'add', 'added'), (2, 'tags', 'tagged pair 1'),"
            " (3, 'status', 'accepted pair 1'), (4, 'tags', 'untagged pair 1'), (5, 'delete', 'deleted pair 2')",
            "INSERT INTO pair_changes (step, pair) VALUES (1, 1), (1, 2)",
            "INSERT INTO pair_changes (step, pair, tags) VALUES (2, 1, '[]'), (4, 1, '[\"undecided\", \"t\"]')",
            "INSERT INTO pair_changes (step, pair, status) VALUES (3, 1, 'pending')",
            "INSERT INTO pair_changes (step, pair, dataset, key, status, tags, note, source, messages, chosen,"
            f" rejected) VALUES (5, 2, 'd', x'02', 'accepted', '[\"undecided\"]', '', '', '{messages}', 'c', 'd')",
        ):
            connection.execute(statement)
    with PairStore(workspace.database) as store:
        assert store.undo() == "deleted pair 2"
        assert (store.get(2).status, store.get(2).tags) == ("accepted", ("was-undecided",))
        assert store.undo() == "untagged pair 1"
        assert store.get(1).tags == ("was-undecided", "t")
        assert list(store.ids(Selection("d", query=Query.parse("tag:was-undecided")))) == [1, 2]
        assert [store.undo() for _ in range(4)] == ["accepted pair 1", "tagged pair 1", "added", None]
        assert [store.redo() for _ in range(6)][-2:] == ["deleted pair 2", None]


def fill_first_release(path: Path) -> None:
    """Three pairs added; the first accepted and edited, the third deleted; a note to the second that was undone."""
    with closing(database.connect(path, MIGRATIONS[:1], owner="pairs")) as connection:
        for id, text in enumerate(("one", "two", "three"), 1):
            connection.execute(
                "INSERT INTO pairs VALUES (?, 'd', ?, 'pending', '[\"t\"]', '', ?, ?, ?, NULL, NULL)",
                (id, bytes([id] * 32), f"a.jsonl:{'00' if id == 1 else ''}{7 if id == 1 else id}",
                 f'[{{"role": "user", "content": "prompt {id}"}}]', text),
            )  # fmt: skip
        for statement in (
            "INSERT INTO pair_steps (id, kind, label) VALUES (1, 'add', 'added'), (2, 'status', 'accepted pair 1'),"
            " (3, 'content', 'edited pair 1'), (4, 'delete', 'deleted pair 3')",
            "INSERT INTO pair_steps (id, kind, label, undone) VALUES (5, 'note', 'noted pair 2', 1)",
            "INSERT INTO pair_changes (step, pair) VALUES (1, 1), (1, 2), (1, 3)",
            "INSERT INTO pair_changes (step, pair, status) VALUES (2, 1, 'pending')",
            "INSERT INTO pair_changes (step, pair, key, messages, completion) SELECT 3, id, key, messages, completion"
            " FROM pairs WHERE id = 1",
            "INSERT INTO pair_changes (step, pair, dataset, key, status, tags, note, source, messages, completion)"
            " SELECT 4, id, dataset, key, status, tags, note, source, messages, completion FROM pairs WHERE id = 3",
            "INSERT INTO pair_changes (step, pair, note) VALUES (5, 2, 'later')",
            "UPDATE pairs SET status = 'accepted', completion = 'new one', key = x'ff' WHERE id = 1",
            "DELETE FROM pairs WHERE id = 3",
        ):
            connection.execute(statement)
