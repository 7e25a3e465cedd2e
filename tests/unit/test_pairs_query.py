"""The query line: what it is understood as, what it refuses, what it finds, and what completes it."""

from __future__ import annotations

import pytest

from workbench.errors import UserError
from workbench.pairs.overview import OverviewReader
from workbench.pairs.pair import NewPair
from workbench.pairs.query import Query, Term, complete, term_at
from workbench.pairs.store import Facets, PairStore, Selection
from workbench.workspace import Workspace


@pytest.mark.parametrize(
    ("line", "terms"),
    [
        ("", []),
        ("status:pending", [Term("status", ("pending",))]),
        ("STATUS:Pending,accepted", [Term("status", ("pending", "accepted"))]),
        ('tag:"to check",tone', [Term("tag", ("to check", "tone"))]),
        ("-tag:tone", [Term("tag", ("tone",), negated=True)]),
        ("tokens>=512", [Term("tokens", ("512",), ">=")]),
        ("chars:9", [Term("chars", ("9",), "=")]),
        ("id:17,018", [Term("id", ("17", "18"))]),
        ("refund", [Term("word", ("refund",))]),
        ('"full refund"', [Term("phrase", ("full refund",))]),
        ('-"full refund"', [Term("phrase", ("full refund",), negated=True)]),
        ('"tag:x"', [Term("phrase", ("tag:x",))]),
        ('"open', [Term("phrase", ("open",))]),
        ("=> 12:30 - --x", [Term("word", ("=>",)), Term("word", ("12:30",)), Term("word", ("-x",), negated=True)]),
        ("tag: status:, tokens> sort:", []),  # a line is read while it is typed
        ("a a", [Term("word", ("a",))]),
        ('a"b c"', [Term("phrase", ("ab c",))]),
    ],
)
def test_a_line_is_understood_and_written_again(line: str, terms: list[Term]) -> None:
    query = Query.parse(line)
    assert list(query.terms) == terms
    assert Query.parse(str(query)) == query


@pytest.mark.parametrize(
    ("line", "sort"),
    [("sort:tokens a", "tokens"), ("sort:-tokens", "-tokens"), ("sort:new", "new"), ("sort:-new", "")],
)
def test_sorting(line: str, sort: str) -> None:
    query = Query.parse(line)
    assert query.sort == sort
    assert Query.parse(str(query)) == query


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a stat:pending", "stat:pending: there is no key 'stat'"),
        ("status:good", "status:good: 'good' is no status. Use one of: pending, accepted, rejected"),
        ("tokens>many", "tokens>many: 'many' is no whole number"),
        ("tokens>5²", "is no whole number"),
        ("id:99999999999999999999", "is no whole number"),
        ("size>3", "'size' cannot be compared"),
        ("sort:age", "sort:age: pairs cannot be sorted by 'age'"),
        ("-sort:new", "there is no key 'sort'"),
        ("kind:chat", "'chat' is no kind"),
    ],
)
def test_what_is_refused_names_the_term(line: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        Query.parse(line)
    assert message in str(refused.value)


def test_completion() -> None:
    facets = Facets({}, {"tone": 2, "to check": 9, "set": 1}, {"empty": 3}, {"a.jsonl": 5, "notes.md": 7})
    assert complete("", 0, facets)[0] == "status:"
    assert complete("ta", 2, facets) == ["tag:"]
    assert complete("-to", 3, facets) == ["-tokens>"]
    assert complete("status:p", 8, facets) == ["status:pending"]
    assert complete("x tag:t", 7, facets) == ['tag:"to check"', "tag:tone", "tag:set"]
    assert complete('tag:"to', 7, facets) == ['tag:"to check"', "tag:tone"]
    assert complete("tag:tone,", 9, facets) == ['tag:tone,"to check"', "tag:tone,tone", "tag:tone,set"]
    assert complete("-flag:", 6, facets) == ["-flag:any", "-flag:empty"]
    assert complete("source:.j", 9, facets) == ["source:a.jsonl"]
    assert complete("sort:-c", 7, facets) == ["sort:-chars"]
    assert complete("http://x", 8, facets) == []
    assert complete('"tag', 4, facets) == []
    assert term_at("a tag:x b", 5) == (2, 7)
    assert term_at("a  b", 2) == (2, 2)


@pytest.fixture
def store(workspace: Workspace):
    def pair(prompt: str, completion: str, **more: object) -> NewPair:
        return NewPair(messages=[{"role": "user", "content": prompt}], completion=completion, **more)

    rows = [
        pair("A refund, please", "We refund you in full.", source="a.jsonl:1", tags=("tone", "to check")),
        pair("Where is the ferry?", "At the pier => north.", source="a.jsonl:10"),
        pair("A full refund", "no", source="b.jsonl:1", tags=("tone",)),
        NewPair(messages=[{"role": "user", "content": "Hm?"}], chosen="good", rejected="bad", source="a.jsonl:2"),
    ]
    with PairStore(workspace.database) as store:
        store.add("d", rows)
        store.add("e", [pair("A refund elsewhere", "yes")])
        store.set_status([2, 3], "accepted")
        store.edit(2, completion="At the old pier => north.")
        found = [(1, "near-duplicate", "of 3"), (3, "near-duplicate", "of 1"), (3, "too-long", "")]
        assert store.set_flags("d", "duplicates", [*found, (5, "empty", "of e"), (99, "empty", "gone")]) == 3
        keys = {pair.id: pair.key for pair in store.pairs("d")}
        assert store.set_lengths([(1, keys[1], 600), (2, keys[2], 40), (3, keys[3], 512), (4, "00" * 32, 7)]) == 3
        version = store.version()
        assert store.set_lengths([(1, keys[1], 600), (2, keys[2], 40)]) == 0
        assert store.version() == version, "nothing is read anew for what was known"
        yield store


FOUND = [
    ("", [1, 2, 3, 4]),
    ("status:accepted", [2, 3]),
    ("status:accepted,pending -id:4", [1, 2, 3]),
    ("-status:accepted", [1, 4]),
    ("tag:tone", [1, 3]),
    ('tag:"to check",nothing', [1]),
    ("-tag:tone,x", [2, 4]),
    ("flag:near-duplicate -flag:too-long", [1]),
    ("flag:any", [1, 3]),
    ("source:a.jsonl", [1, 2, 4]),
    ("source:a.jsonl:1", [1]),
    ("-source:a.jsonl,b.jsonl", []),
    ("kind:preference", [4]),
    ("kind:completion,preference", [1, 2, 3, 4]),
    ("edited:yes", [2]),
    ("edited:no", [1, 3, 4]),
    ("tokens>512", [1]),
    ("tokens<=512", [2, 3]),
    ("-tokens<=512", [1, 4]),  # not counted is not at most 512
    ("chars<20", [3, 4]),
    ("chars=15", [3]),
    ("id:3,1", [1, 3]),
    ("id>2", [3, 4]),
    ("refund", [1, 3]),
    ("full ref", [1, 3]),  # the last word may be a beginning
    ('"full refund"', [3]),
    ('-"full refund" refund', [1]),
    ("-refund", [2, 4]),
    ("=>", [2]),
    ("-=>", [1, 3, 4]),
    ("refund status:accepted tag:tone", [3]),
    ("sort:new", [4, 3, 2, 1]),
    ("sort:tokens", [2, 3, 1, 4]),
    ("sort:-tokens", [1, 3, 2, 4]),
    ("sort:chars", [4, 3, 1, 2]),
    ("sort:-chars refund", [1, 3]),
    ("sort:status", [2, 3, 1, 4]),
]


def test_what_a_line_finds(store: PairStore) -> None:
    for line, ids in FOUND:
        selection = Selection("d", query=Query.parse(line))
        assert list(store.ids(selection)) == ids, line
        assert store.count(selection) == len(ids), line
        assert [pair.id for pair in store.page(selection)] == ids, line
        assert [pair.id for pair in store.page(selection, offset=1, limit=2)] == ids[1:3], line
        assert list(store.first_ids(selection, 2)) == ids[:2], line


def test_facets_flags_and_lengths(store: PairStore) -> None:
    facets = store.facets("d")
    assert facets.statuses == {"pending": 2, "accepted": 2, "rejected": 0}
    assert facets.tags == {"to check": 1, "tone": 2}
    assert facets.flags == {"near-duplicate": 2, "too-long": 1}
    assert facets.sources == {"a.jsonl": 3, "b.jsonl": 1}
    assert store.facets().statuses["pending"] == 3
    assert {id: [flag.name for flag in flags] for id, flags in store.flags_of([1, 2, 3]).items()} == {
        1: ["near-duplicate"],
        3: ["near-duplicate", "too-long"],
    }
    assert store.tokens_of([1, 4]) == {1: 600}
    store.edit(1, completion="Another one.")
    assert store.tokens_of([1]) == {}  # counted before the edit
    flagged = Selection("d", query=Query.parse("flag:near-duplicate"))
    assert (store.flags_of([1]), store.facets("d").flags["near-duplicate"], list(store.ids(flagged))) == ({}, 1, [3])
    store.undo()
    assert (len(store.flags_of([1])), list(store.ids(flagged))) == (1, [1, 3])  # of this text it was found


def test_a_check_replaces_what_it_found_and_no_other_check_does(store: PairStore) -> None:
    version = store.version()
    store.set_flags("d", "lengths", [(2, "too-long", "600 tokens")])
    assert store.version() != version
    store.set_flags("d", "duplicates", [(1, "near-duplicate", "of 4")], pairs=[1, 2])
    assert store.flags_of([1])[1][0].detail == "of 4"
    assert store.facets("d").flags == {"near-duplicate": 2, "too-long": 2}
    store.set_flags("d", "duplicates", [])
    assert store.facets("d").flags == {"too-long": 1}
    assert store.undo() == "edited pair 2"  # flags are no undo steps


def test_a_pair_that_comes_back_has_its_flags_and_its_tokens(store: PairStore, workspace: Workspace) -> None:
    store.delete([1])
    assert store.facets("d").flags == {"near-duplicate": 1, "too-long": 1}
    assert [list(store.ids(Selection("d", query=Query.parse(line)))) for line in ("flag:any", "tokens>0")] == [
        [3],
        [2, 3],
    ]
    with OverviewReader(workspace.database) as overview:
        assert overview.flags("d") == {"near-duplicate": 1, "too-long": 1}
        assert overview.lengths("d").counts == {40: 1, 512: 1}
    store.undo()
    assert [flag.detail for flag in store.flags_of([1])[1]] == ["of 3"]
    assert store.tokens_of([1]) == {1: 600}
    while store.undo():  # of the adding too
        pass
    store.add(
        "d", [NewPair(messages=[{"role": "user", "content": "Another"}], completion="one")]
    )  # from here on nothing brings them back
    store.catch_up()
    for table in ("pair_flags", "pair_lengths"):
        assert store._rows(f"SELECT count(*) FROM {table}")[0][0] == 0, table


def test_a_selection_is_changed_as_one_step(store: PairStore) -> None:
    chosen = Selection("d", query=Query.parse("refund sort:-chars"))
    assert store.set_status(chosen, "rejected") == 2
    assert store.undo() == "rejected 2 pairs"
    assert store.add_tags(chosen, ["new", "tone"]) == 2
    assert [pair.tags for pair in store.get_many([3, 1])] == [("tone", "new"), ("tone", "to check", "new")]
    assert store.add_tags(chosen, ["new"]) == 0
    assert store.remove_tags(Selection("d", query=Query.parse("tag:tone")), ["to check"]) == 1
    assert store.undo() == "took to check from pair 1"
    assert store.undo() == "tagged 2 pairs with new, tone"
    assert store.get(1).tags == ("tone", "to check")
    assert store.set_tags(chosen, []) == 2
    assert store.set_note(chosen, "seen") == 2
    assert store.delete(chosen) == 2
    assert [pair.id for pair in store.pairs("d")] == [2, 4]
    assert [store.undo() for _ in range(3)] == ["deleted 2 pairs", "noted 2 pairs", "tagged 2 pairs"]


def test_the_history_of_a_pair(store: PairStore) -> None:
    first = store.original(2)
    assert first is not None
    assert (first.completion, store.original(1)) == ("At the pier => north.", None)
    store.edit(2, completion="Gone.")
    store.add_tags([2, 3], ["x"])
    store.set_note([2], "undone")
    store.undo()
    changes = store.history(2)
    assert [(change.kind, change.label) for change in changes] == [
        ("add", "added: 4 pairs into d"),
        ("status", "accepted 2 pairs"),
        ("content", "edited pair 2"),
        ("content", "edited pair 2"),
        ("tags", "tagged 2 pairs with x"),
    ]
    assert (changes[1].before, changes[1].after) == ({"status": "pending"}, {"status": "accepted"})
    assert [change.after["completion"] for change in changes[2:4]] == ["At the old pier => north.", "Gone."]
    assert changes[2].before["completion"] == first.completion
    assert store.original(2) == first.__class__(**{**vars(first), "tags": ("x",)})
    with pytest.raises(UserError):
        store.history(99)
