"""Chats survive a restart with everything that belongs to them."""

from __future__ import annotations

import pytest

from workbench import database
from workbench.chat.answer import Citation
from workbench.chat.history import ChatStore
from workbench.chat.schema import MIGRATIONS
from workbench.errors import UserError
from workbench.workspace import Workspace

CITED = Citation(1, "a.md", "line 1", "text\x1b[31m <|im_end|> [/red]", 0.03, 0.7, 1, None, 1, 1)


def test_a_chat_survives_a_restart(workspace: Workspace) -> None:
    with ChatStore(workspace.database) as store:
        chat = store.create("base+rag:handbook")
        store.append(chat.id, "user", "  How long\nis leave? " + "x" * 100, hybrid="base+rag:handbook")
        figures = {"tokens_per_second": 41.5, "not_in_library": False, "stopped": True}
        store.append(chat.id, "assistant", "Thirty days [1].", hybrid="base", citations=(CITED,), figures=figures)
    with ChatStore(workspace.database) as store:
        (kept,) = store.chats()
        assert kept.title == ("How long is leave? " + "x" * 100)[:60]
        assert (kept.hybrid, kept.messages) == ("base", 2)
        question, answer = store.messages(kept.id)
        assert question.content.startswith("  How long\nis leave?")
        assert (answer.role, answer.citations, answer.figures) == ("assistant", (CITED,), figures)


def test_the_chat_changed_last_comes_first(workspace: Workspace) -> None:
    with ChatStore(workspace.database) as store:
        first, second = store.create("base", title="one"), store.create("base", title="two")
        assert [chat.title for chat in store.chats()] == ["two", "one"]
        store.append(first.id, "user", "again", hybrid="base+lora:tone")
        assert [chat.title for chat in store.chats()] == ["one", "two"]
        assert store.get(first.id).hybrid == "base+lora:tone"
        store.choose(second.id, "base+rag:x")
        store.rename(second.id, "three")
        assert (store.get(second.id).title, store.get(second.id).hybrid) == ("three", "base+rag:x")


def test_deleting_a_chat_removes_its_turns_and_no_others(workspace: Workspace) -> None:
    with ChatStore(workspace.database) as store:
        gone, stays = store.create("base"), store.create("base")
        for chat in (gone, stays):
            store.append(chat.id, "user", "hello", hybrid="base")
        store.delete(gone.id)
        assert store.messages(gone.id) == []
        assert len(store.messages(stays.id)) == 1
        with pytest.raises(UserError, match="the chat is gone"):
            store.get(gone.id)
        with pytest.raises(UserError, match="the chat is gone"):
            store.append(gone.id, "user", "hello?", hybrid="base")
        assert store.create("base").id not in (gone.id, stays.id)


def test_two_connections_see_each_other(workspace: Workspace) -> None:
    with ChatStore(workspace.database) as one, ChatStore(workspace.database) as other:
        chat = one.create("base")
        other.append(chat.id, "user", "from the other", hybrid="base")
        assert [message.content for message in one.messages(chat.id)] == ["from the other"]


def test_chats_of_an_older_version_open_as_before_and_can_be_searched(workspace: Workspace) -> None:
    old = database.connect(workspace.database, MIGRATIONS[:1], owner="chats")
    old.execute("INSERT INTO chats VALUES (7, 'Leave', 'base+rag:handbook', 1.0, 2.0)")
    for role, text in (("user", "How long?"), ("assistant", "Thirty days."), ("user", "Paid?")):
        old.execute(
            "INSERT INTO chat_messages (chat, role, content, hybrid, citations, figures, created_at)"
            " VALUES (7, ?, ?, 'base', '[]', '{}', 1.0)",
            (role, text),
        )
    old.close()
    with ChatStore(workspace.database) as store:
        assert (store.get(7).title, store.get(7).panes, store.get(7).dataset) == ("Leave", (), "")
        assert [(m.content, m.question) for m in store.messages(7)] == [
            ("How long?", None), ("Thirty days.", 1), ("Paid?", None),
        ]  # fmt: skip
        (found,) = store.search("thirty DAY")
        assert (found.chat, found.question, found.role) == (7, 1, "assistant")
        assert store.search('"*( NEAR') == store.search("  ") == []
        answer = store.append(7, "assistant", "Yes.", hybrid="base")
        assert answer.question == 3
        store.delete(7)
        assert store.search("thirty") == []


def test_a_branch_is_a_copy_up_to_a_question(workspace: Workspace) -> None:
    with ChatStore(workspace.database) as store:
        chat = store.create("base")
        store.configure(chat.id, panes=[(0, "base"), (2, "base+rag:x")], sampling={"seed": 1}, dataset="d")
        first = store.append(chat.id, "user", "one?", hybrid="base")
        for pane in (0, 2):
            store.append(chat.id, "assistant", f"1 in {pane}", hybrid="base", question=first.id, pane=pane)
        second = store.append(chat.id, "user", "two?", hybrid="base")
        # An answer that came late belongs to its question.
        late = store.append(chat.id, "assistant", "1 again", hybrid="base", question=first.id)
        store.prefer(first.id, late.id)
        branch = store.branch(chat.id, first.id)
        assert (branch.panes, branch.sampling, branch.dataset) == (((0, "base"), (2, "base+rag:x")), {"seed": 1}, "d")
        copied = store.messages(branch.id)
        assert [m.content for m in copied] == ["one?", "1 in 0", "1 in 2", "1 again"]
        assert {m.question for m in copied[1:]} == {copied[0].id}
        assert copied[-1].better
        assert len(store.messages(chat.id)) == 5
        store.remove(second.id)
        assert len(store.messages(chat.id)) == 4
        assert store.branch(chat.id, 0).messages == 0
