"""What the Pairs screen is made of: word differences, texts as a file, marks, where the cursor stays, keymaps."""

from __future__ import annotations

import random
from array import array
from pathlib import Path

import pytest

from screens import keymap
from screens.modals.edit_texts import TextField
from screens.pair_list import kept_row
from screens.pair_marks import Marks
from screens.text_form import TextForm
from screens.word_diff import word_diff
from workbench.errors import Faults, UserError
from workbench.workspace import shipped


def test_the_parts_of_a_difference_make_both_texts() -> None:
    draw = random.Random(1)
    pieces = ["a", "b", " ", "\n", "cc", "  ", "d.", "é"]
    for length in [*[12] * 2000, 3000, 9000]:
        before, after = ("".join(draw.choices(pieces, k=draw.randint(0, length))) for _ in range(2))
        parts = word_diff(before, after)
        assert "".join(part.text for part in parts if part.kind != "added") == before
        assert "".join(part.text for part in parts if part.kind != "removed") == after
    assert [tuple(part) for part in word_diff("the old key is in a box", "the old lamp was in a box")] == [
        ("same", "the old "),
        ("removed", "key is"),
        ("added", "lamp was"),
        ("same", " in a box"),
    ]


ODD = "===== end\n====== prompt\r\n\x1b[0m\x0c\u2028 \u202e tail\n\n"


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_file_of_texts_gives_back_every_character(newline: str) -> None:
    texts = {"0": "Be brief.\r\nBe kind.\r\n", "1": ODD, "completion": "\n # no comment\n"}
    form = TextForm("Edit pair 7", [TextField(name, name, text) for name, text in texts.items()])
    assert not set("\x1b\x0c\u202e\r") & set(form.text)
    assert form.changes(form.text.replace("\n", newline)) == {}
    edited = "\ufeff" + form.text.replace("kind", "kinder").replace(" tail", " end").replace("\n", newline)
    assert form.changes(edited) == {"0": "Be brief.\r\nBe kinder.\r\n", "1": ODD.replace("tail", "end")}
    for broken in (form.text.replace("= completion", "= complete"), form.text.rpartition("=")[0], "", form.text[:99]):
        with pytest.raises(UserError, match=r"line “=+ "):
            form.changes(broken)


def test_the_cursor_stays_with_its_pair_in_any_order() -> None:
    ids = array("q", [9, 4, 7, 1, 8])
    assert kept_row(ids, 2, array("q", [1, 4, 7, 8, 9])) == 2
    assert kept_row(ids, 2, array("q", [7, 9])) == 0
    assert kept_row(ids, 1, array("q", [9, 1, 8])) == 1  # the next that is left: 1
    assert kept_row(ids, 4, array("q", [9, 4])) == 1  # none is left after it
    assert kept_row(ids, 4, array("q")) == kept_row(array("q"), 0, ids) == 0


def test_marks_follow_their_pairs() -> None:
    ids, marks = array("q", [9, 4, 7, 1, 8]), Marks()
    marks.carry(array("q"), ids)
    marks.toggle(4)
    marks.start(1)
    marks.extend(2)
    assert list(marks.ids(ids)) == [4, 7, 8]
    after = array("q", [1, 4, 7, 9, 3])
    marks.carry(ids, after)
    assert list(marks.ids(after)) == [4, 7]
    marks.extend(3)  # the range still begins at 4
    assert list(marks.ids(after)) == [4, 7, 9]
    marks.extend(0)
    assert list(marks.ids(after)) == [1, 4]
    marks.carry(after, array("q", [3]), complete=False)  # of another list, whose rest is still being read
    assert (marks.count, marks.unlisted) == (0, 2)
    marks.carry(array("q", [3]), after)
    assert (list(marks.ids(after)), marks.unlisted) == ([1, 4], 0)
    marks.start(1)
    gone = array("q", [1, 3])
    marks.carry(after, gone)
    marks.extend(1)  # where it began is gone: it begins here
    assert list(marks.ids(gone)) == [1, 3]


def test_the_shipped_keymap_lists_every_command_and_changes_none() -> None:
    path = shipped("configs") / "keymap.yaml"
    assert path.read_text(encoding="utf-8") == keymap.example(), (
        "write it anew: python -P -m screens.keymap > configs/keymap.yaml"
    )
    assert keymap.read(path) == {}


def test_a_keymap_is_checked_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "keymap.yaml"
    assert keymap.read(path) == {}
    path.write_text('pairs.accept: r\npairs.reject: [a, "."]\npairs.search: "comma, ctrl+f ,/"\npairs.repeat: f9\n')
    assert keymap.read(path) == {
        "pairs.accept": "r",
        "pairs.reject": "a,full_stop",
        "pairs.search": "comma,ctrl+f,slash",
        "pairs.repeat": "f9",
    }
    path.write_text(
        "pairs.acept: y\n\npairs.reject: j, ctrl+what\npairs.note:\npairs.skip: u\npairs.mark: j\napp.theme: f5\n"
        "pairs.tags: home\npairs.sort: ctrl+q\n"
    )
    with pytest.raises(Faults) as refused:
        keymap.read(path)
    assert refused.value.faults == [
        "line 1: pairs.acept: there is no such command",
        "line 3: pairs.reject: there is no key ctrl+what",
        "line 4: pairs.note: no key is written",
        "line 5: pairs.skip: u is the key of pairs.undo",
        "line 6: pairs.mark: j is the key of lists.down",
        "line 7: app.theme: it is in the palette only",
        "line 8: pairs.tags: home always moves the cursor of the table of pairs",
        "line 9: pairs.sort: ctrl+q is the key of app.quit",
    ]
