"""The store of pairs: what it finds, what it refuses, and that every change can be undone, also after a restart."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from workbench.errors import UserError
from workbench.pairs import adding
from workbench.pairs.pair import NewPair
from workbench.pairs.query import Query
from workbench.pairs.split import is_eval
from workbench.pairs.store import PairStore, Selection
from workbench.workspace import Workspace


def pair(prompt: str, completion: str = "yes", **more: object) -> NewPair:
    return NewPair(messages=[{"role": "user", "content": prompt}], completion=completion, **more)


def snapshot(store: PairStore) -> list[object]:
    """All that a reader is told, and all bytes of the tables behind it."""
    with closing(sqlite3.connect(store._path)) as connection:
        tables = [
            connection.execute(f"SELECT {columns} FROM {table} ORDER BY {columns.split(',')[0]}, 2, 3").fetchall()
            for table, columns in (
                ("pairs", "id, dataset, key, status, tags, source, line, preference, chars, edited"),
                ("pair_contents JOIN pairs USING (id)", "id, messages, completion, chosen, rejected, note"),
                ("pair_tags", "dataset, tag, pair"),
            )
        ]
    return [*store.pairs(), *store.datasets(), tables]


def check_search_index(path: Path) -> None:
    """Raises when the full-text index does not say what the pairs say."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO pair_search (pair_search) VALUES ('integrity-check')")


def test_adding_passes_over_what_the_dataset_has(workspace: Workspace) -> None:
    with PairStore(workspace.database) as store:
        first = store.add("a", [pair("Who?", "Aune."), pair(" Who?\r\n", "Aune. "), pair("Who?", "Tomas.")])
        assert (first.added, first.duplicates) == (2, 1)
        again = store.add("a", [pair("Who?", "Aune."), pair("caf\u00e9?"), pair("cafe\u0301?")])
        assert (again.added, again.duplicates) == (1, 2)
        assert store.add("b", [pair("Who?", "Aune.")]).added == 1  # another dataset may have it
        assert [(d.name, d.total, d.pending) for d in store.datasets()] == [("a", 3, 3), ("b", 1, 1)]


def test_nothing_is_added_when_the_rows_fail(workspace: Workspace) -> None:
    def rows():
        yield from (pair(f"{number}?") for number in range(2500))
        raise RuntimeError("the file is gone")

    with PairStore(workspace.database) as store:
        store.add("a", [pair("before")])
        with pytest.raises(RuntimeError):
            store.add("a", rows())
        assert store.count() == 1
        assert store.undo() == "added: 1 pair into a"


def test_others_write_while_rows_are_being_read(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adding, "_ASIDE", 1000)  # whoever gives them may wait for a network
    with PairStore(workspace.database) as store, PairStore(workspace.database) as other:
        other.add("a", [pair("before")])

        def rows():
            for number in range(3000):
                if number % 700 == 0:
                    other.set_note([1], f"written at {number}")
                yield pair(f"{number}?")

        assert store.add("a", rows()).added == 3000
        assert store.get(1).note == "written at 2800"
        assert [store.undo(), store.undo()] == ["added: 3,000 pairs into a", "noted pair 1"]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("leave", {1, 2}),
        ("LEAVE annual", {1}),
        ("ann", {1}),  # the beginning of a word
        ("ann leave", set()),  # only the last word may be a beginning
        ("resume", {3}),  # accents do not count
        ("=>", {1}),  # no letters: looked for as it stands
        ("leave =>", {1}),
        ("[/red]", {2}),
        ("aside", {2}),  # the note
        ("elder", {3}),  # a turn before the last
        ("", {1, 2, 3}),
    ],
)
def test_search(workspace: Workspace, search: str, found: set[int]) -> None:
    with PairStore(workspace.database) as store:
        turns = [
            {"role": "system", "content": "You are elder."},
            {"role": "user", "content": "A r\u00e9sum\u00e9?"},
        ]
        rows = [
            pair("How much annual leave?", "=> 27 days."),
            pair("Leave [/red] \x1b[31m <|im_end|>", "no"),
            NewPair(messages=turns, chosen="good", rejected="bad"),
        ]
        store.add("a", rows)
        store.set_note([2], "put aside")
        assert {p.id for p in store.page(search=search)} == found
        assert {p.id for p in store.page("a", status="pending", search=search)} == found
        assert store.count("a", search=search) == len(found)
        assert store.count("b", search=search) == 0


@pytest.mark.parametrize(
    "search",
    ['"', "'", '"open', "NEAR(a b", "a AND", "OR", "NOT x", "prompt:", "^a", "a*b*", "(", "-", "{a}", "\0", "a\0b",
     "\ud800", "%", "a " * 5000, '""""', "\\", "; DROP TABLE pairs", "\u202e", "x" * 100_000],
)  # fmt: skip
def test_no_search_is_a_syntax_error(workspace: Workspace, search: str) -> None:
    with PairStore(workspace.database) as store:
        store.add("a", [pair("b")])
        assert store.count(search=search) == 0
        assert store.page("a", search=search, tag=search, status="pending") == []


def test_pages_are_in_the_order_of_adding_and_tags_narrow(workspace: Workspace) -> None:
    with PairStore(workspace.database) as store:
        store.add("a", (pair(f"question {number}") for number in range(250)))
        assert [p.prompt for p in store.page("a", offset=240)] == [f"question {n}" for n in range(240, 250)]
        assert store.set_tags([3, 5], ["to check", "t", "t"]) == 2
        assert store.get(3).tags == ("to check", "t")
        assert [p.id for p in store.page("a", tag="t")] == [3, 5]
        assert store.count(tag="to") == 0
        assert store.set_status([3, 4], "accepted") == 2
        assert store.set_status([3, 4], "accepted") == 0  # nothing changed: no step
        assert [p.id for p in store.page(status="accepted", tag="t", search="quest")] == [3]
        assert [p.id for p in store.accepted("a")] == [3, 4]
        assert store.undo() == "accepted 2 pairs"


def test_what_is_refused_changes_nothing(workspace: Workspace) -> None:
    with PairStore(workspace.database) as store:
        store.add("a", [pair("one"), pair("two")])
        before, version = snapshot(store), store.version()
        for refused in (
            lambda: store.set_status([1, 99], "accepted"),
            lambda: store.set_status([1], "good"),
            lambda: store.set_tags([1], ["a,b"]),
            lambda: store.set_note([1], "\ud800"),
            lambda: store.delete([1, 99]),
            lambda: store.edit(1, completion="  "),
            lambda: store.edit(1, chosen="better"),
            lambda: store.edit(1, messages=[{"role": "user", "content": "two"}]),  # as pair 2
            lambda: store.edit(1, messages=[{"role": "assistant", "content": "two"}]),
            lambda: store.edit(99, completion="x"),
            lambda: store.get(99),
            lambda: store.add("../a", [pair("three")]),
            lambda: store.add("a", [pair("three")], status="good"),
        ):
            with pytest.raises(UserError):
                refused()
        assert snapshot(store) == before
        assert store.version() == version


def test_an_edited_pair_is_found_by_its_new_words_and_keeps_its_side_of_the_split(workspace: Workspace) -> None:
    with PairStore(workspace.database) as store:
        store.add("a", [pair("Which ferry?", "Tern.")])
        key = store.get(1).key
        store.edit(1, completion="Old Margit.")
        edited = store.get(1)
        assert (store.count(search="tern"), store.count(search="margit")) == (0, 1)
        assert edited.key != key
        assert [is_eval(edited.key, f / 10) for f in range(10)] == [is_eval(key, f / 10) for f in range(10)]
        store.undo()
        assert (store.get(1).key, store.count(search="tern")) == (key, 1)


def test_the_split_takes_its_fraction_and_another_one_for_another_seed() -> None:
    keys = [pair(f"question {number}").key for number in range(4000)]
    held_out = [is_eval(key, 0.1) for key in keys]
    assert 320 < sum(held_out) < 480
    assert held_out == [is_eval(key, 0.1) for key in keys]
    assert held_out != [is_eval(key, 0.1, seed=1) for key in keys]
    assert not any(is_eval(key, 0.0) for key in keys)
    assert all(is_eval(key, 1.0) for key in keys)


@pytest.mark.parametrize("seed", range(6))
def test_every_change_is_undone_and_redone_whatever_the_order_also_after_a_restart(
    workspace: Workspace, seed: int
) -> None:
    """A random walk, with the states that it went through as the reference."""
    draw = random.Random(seed)
    store = PairStore(workspace.database)
    states, place, serial = [snapshot(store)], 0, 0

    def change() -> None:
        nonlocal serial
        serial += 1
        ids = [p.id for p in store.page(limit=1000)]
        some = draw.sample(ids, min(len(ids), draw.randint(1, 6)))
        kinds = ["add", "add", "status", "where", "tags", "more tags", "fewer tags", "note", "edit", "delete", "clear"]
        kind = draw.choice(kinds) if ids else "add"
        line = draw.choice(["status:pending", "-tag:x", "edited:yes", "kind:completion", "chars>9", "tag:y p1"])
        chosen = draw.choice([some, Selection(draw.choice(["a", "b", None]), query=Query.parse(line))])
        status = draw.choice(["pending", "accepted", "rejected"])
        if kind == "add":
            store.add(draw.choice("ab"), [pair(f"p{draw.randint(0, 60)}", f"c{i} {serial}") for i in range(5)])
        elif kind == "status":
            store.set_status(some, status)
        elif kind == "where":
            store.set_status_where(status, dataset=draw.choice(["a", "b", None]), search=draw.choice(["", "p1", "c2"]))
        elif kind == "tags":
            store.set_tags(some, draw.sample(["x", "y", "z"], 2))
        elif kind == "more tags":
            store.add_tags(chosen, draw.sample(["x", "y", "z"], 2))
        elif kind == "fewer tags":
            store.remove_tags(chosen, draw.sample(["x", "y", "z"], 2))
        elif kind == "note":
            store.set_note(chosen, f"note {serial}")
        elif kind == "edit":
            store.edit(some[0], completion=f"edited {serial}", messages=[{"role": "user", "content": f"e{serial}"}])
        else:
            store.delete(some if kind == "delete" else chosen)

    try:
        for _ in range(120):
            action = draw.random()
            if action < 0.5:
                change()
                now = snapshot(store)
                if now != states[place]:  # a change that changes nothing is no step
                    states[place + 1 :] = [now]
                    place += 1
            elif action < 0.75:
                assert (store.undo() is not None) == (place > 0)
                place = max(0, place - 1)
            elif action < 0.95:
                assert (store.redo() is not None) == (place + 1 < len(states))
                place = min(len(states) - 1, place + 1)
            else:
                store.close()
                store = PairStore(workspace.database)
            assert snapshot(store) == states[place]
        while store.undo():
            place -= 1
            assert snapshot(store) == states[place]
        assert place == 0
        check_search_index(workspace.database)
        while store.redo():
            place += 1
        assert snapshot(store) == states[-1]
        check_search_index(workspace.database)
    finally:
        store.close()


def test_a_new_change_ends_what_could_be_redone_and_frees_its_space(workspace: Workspace) -> None:
    with PairStore(workspace.database) as store:
        store.add("a", (pair(f"{number}?") for number in range(500)))
        store.undo()
        store.add("a", [pair("another")])
        assert store.redo() is None
        assert store.undo() == "added: 1 pair into a"
        assert store.undo() is None
        with closing(sqlite3.connect(workspace.database)) as connection:
            assert connection.execute("SELECT count(*) FROM pair_changes").fetchone()[0] == 1


def test_other_processes_changes_are_seen_by_the_version(workspace: Workspace) -> None:
    with PairStore(workspace.database) as one, PairStore(workspace.database) as other:
        versions = [one.version()]
        for change in (
            lambda: other.add("a", [pair("one")]),
            lambda: other.set_status([1], "accepted"),
            lambda: one.undo(),
            lambda: other.redo(),
        ):
            change()
            versions.append(one.version())
            assert one.version() == other.version()
        assert len(set(versions)) == len(versions)


@pytest.mark.slow
def test_a_bulk_change_of_100_000_pairs_is_one_small_step(workspace: Workspace) -> None:
    with PairStore(workspace.database) as store:
        rows = (pair(f"What is number {number}?", "It is a number like any other. " * 5) for number in range(100_000))
        assert store.add("big", rows).added == 100_000
        last = store.page("big", status="pending", offset=99_990, search="what numb")[-1]
        assert last.prompt == "What is number 99999?"
    size = workspace.database.stat().st_size
    with PairStore(workspace.database) as store:
        assert store.set_status_where("accepted", dataset="big", current="pending") == 100_000
        assert store.count("big", status="accepted") == 100_000
    assert workspace.database.stat().st_size < 1.2 * size  # the journal keeps ids and statuses, not texts
    with PairStore(workspace.database) as store:
        assert store.undo() == "accepted 100,000 pairs"
        assert store.count("big", status="pending") == 100_000
        assert store.redo() == "accepted 100,000 pairs"
        assert store.count("big", status="accepted") == 100_000
