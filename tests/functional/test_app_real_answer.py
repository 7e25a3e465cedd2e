"""The whole way with the real models, by keys: a folder is indexed, searched, and asked about; nothing stands in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sample_index import DOCUMENTS
from textual.events import Paste

from screens.app import WorkbenchApp
from screens.modals.document import DocumentViewer
from screens.widgets.chat_input import ChatInput
from screens.widgets.text_pane import TextPane
from workbench.chat import address
from workbench.chat.history import ChatStore
from workbench.workspace import Workspace

Settle = Callable[..., Any]


def painted(pilot: Any) -> str:
    """The text of the whole screen."""
    return "\n".join("".join(segment.text for segment in line) for line in pilot.app.screen._compositor.render_strips())


async def until(pilot: Any, condition: Callable[[], bool]) -> None:
    """Let the app live until something is so; a minute or two where the machine is busy."""
    for _ in range(3000):
        if condition():
            return
        pilot.app.look_at_jobs()
        await pilot.pause(0.05)
    raise AssertionError(f"it never came to be:\n{painted(pilot)}")


async def test_a_folder_is_indexed_searched_and_asked_about(
    workspace: Workspace, settle: Settle, tmp_path: Path
) -> None:
    folder = tmp_path / "harbour" / "documents"
    folder.mkdir(parents=True)
    for name, text in DOCUMENTS.items():
        (folder / name).write_text(text)
    (folder / "empty.md").write_text("\n")
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("4", "a")
        await settle(pilot)
        pilot.app.focused.post_message(Paste(str(folder)))
        await settle(pilot)
        await pilot.press("enter", "enter")
        await until(pilot, lambda: "ready" in painted(pilot))
        await settle(pilot)
        assert "3 documents" in painted(pilot)
        assert "1 file not indexed" in painted(pilot)
        assert "museum-hours.md" in painted(pilot)

        assert address.running(workspace) is None
        await pilot.press("slash", *"summer hours", "enter")
        await until(pilot, lambda: "found in" in painted(pilot))
        await settle(pilot)
        assert "1 museum-hours.md" in painted(pilot)
        assert "dense 1  BM25 1" in painted(pilot)
        await pilot.press("enter")
        await settle(pilot)
        assert isinstance(pilot.app.screen, DocumentViewer)
        pane = pilot.app.screen.query_one(TextPane)
        assert pane.text[slice(*pane.passage)].startswith("The museum is open every day from 3 May")
        await pilot.press("escape")

        await pilot.press("5")
        await settle(pilot)
        assert "+ index harbour" in painted(pilot), "what there is, is chosen for a first chat"
        pilot.app.screen.query_one(ChatInput).set_text("When is the museum open in summer?")
        await pilot.press("enter")
        await until(pilot, lambda: "tokens/s" in painted(pilot))
        await settle(pilot)
        assert "[1] museum-hours.md" in painted(pilot)
        await pilot.press("ctrl+n")
        await settle(pilot)
        pilot.app.screen.query_one(ChatInput).set_text("Quels sont les ingredients d'une ratatouille nicoise?")
        await pilot.press("enter")
        await until(pilot, lambda: "not in the library" in painted(pilot))
        await settle(pilot)
    with ChatStore(workspace.database) as store:
        second_chat, first_chat = store.chats()
        first, answer = store.messages(first_chat.id)
        _, refused = store.messages(second_chat.id)
    assert first.hybrid == "smollm2-135m-instruct+rag:harbour"
    assert "May" in answer.content
    assert answer.citations[0].document == "museum-hours.md"
    assert answer.figures["completion_tokens"] > 3
    assert refused.figures["not_in_library"] is True
