"""Library, driven by its keys: indexes and their builds, documents, a search and its reasons, hostile text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fake_server import HITS, SUMMER, FakeEngine, serving
from sample_index import DOCUMENTS, MUSEUM, write_index
from sample_jobs import write_index_job
from textual.events import Paste

from screens.app import WorkbenchApp
from screens.modals.add_documents import AddDocuments
from screens.modals.document import DocumentViewer
from screens.widgets.hits import Hits
from screens.widgets.text_pane import TextPane
from workbench.jobs import control
from workbench.library import in_step
from workbench.library.documents import Fault
from workbench.library.in_step import InStep
from workbench.library.retrieval_tests import list_tests
from workbench.workspace import Workspace

Settle = Callable[..., Any]
HOSTILE = "\x1b]52;c;aGk=\x07[/red][@click=app.quit]x[/]\u202e<|im_end|>"


def painted(pilot: Any) -> str:
    """The text of the whole screen."""
    return "\n".join("".join(segment.text for segment in line) for line in pilot.app.screen._compositor.render_strips())


async def paste(pilot: Any, text: str) -> None:
    """Paste into what has the focus."""
    pilot.app.focused.post_message(Paste(text))
    await pilot.pause()


async def until(pilot: Any, condition: Callable[[], bool], *, seconds: float = 60) -> None:
    """Let the app live until something is so."""
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        pilot.app.look_at_jobs()
        await pilot.pause(0.05)
    raise AssertionError(f"it never came to be:\n{painted(pilot)}")


async def test_an_empty_library_says_what_to_do_and_the_key_does_it(workspace: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("4")
        await settle(pilot)
        assert "Press a to add a folder" in painted(pilot)
        await pilot.press("a")
        await settle(pilot)
        assert isinstance(pilot.app.screen, AddDocuments)
        await pilot.press("escape")
        await settle(pilot)
        assert not list(workspace.jobs.iterdir())


async def test_adding_completes_paths_refuses_what_cannot_be_and_starts_the_job(
    workspace: Workspace, settle: Settle, tmp_path: Path
) -> None:
    (tmp_path / "manual" / "documents").mkdir(parents=True)
    (tmp_path / "manual" / "documents" / "a.rtf").write_text("not read")
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("4", "a")
        await settle(pilot)
        await paste(pilot, f"{tmp_path}/nowhere")
        await pilot.press("enter")
        await settle(pilot)
        assert "no such file or folder" in painted(pilot)
        await pilot.press(*["backspace"] * len("nowhere"), *"man", "tab")
        await settle(pilot)
        await pilot.press("down")
        await settle(pilot)
        await pilot.press("enter", "enter")
        await settle(pilot)
        await pilot.press(*"no/good", "enter")
        await settle(pilot)
        assert "cannot name an index" in painted(pilot)
        await pilot.press("ctrl+u", *"manual", "enter")
        why = r"nothing\W+in\W+it\W+can\W+be\W+indexed"  # in place, wrapped wherever the path before it ends
        await until(pilot, lambda: re.search(why, painted(pilot)) is not None)
        assert "failed" in painted(pilot)
        spec = json.loads(next(workspace.jobs.glob("*/spec.json")).read_text())
        assert spec["kind"] == "index"
        assert spec["arguments"] == {
            "name": "manual",
            "paths": [str(tmp_path / "manual" / "documents")],
            "add": False,
        }


async def test_the_name_is_made_from_the_folder_and_one_that_exists_is_added_to(
    workspace: Workspace, settle: Settle, tmp_path: Path
) -> None:
    (tmp_path / "House Manual" / "docs").mkdir(parents=True)
    write_index(workspace, "house-manual")
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("4", "a")
        await settle(pilot)
        await paste(pilot, f"{tmp_path}/House Manual/docs")
        await settle(pilot)
        assert pilot.app.screen.query_one("#name").value == "house-manual"
        assert "this is added to what it holds" in painted(pilot)


async def test_a_build_is_followed_in_place_and_bad_files_are_told(workspace: Workspace, settle: Settle) -> None:
    job = write_index_job(
        workspace,
        "encyclopedia",
        "running",
        progress=(1203, 3000, "chunks", "embedding", 19.0),
        figures={"chunks_per_second": 95.3},
        warnings=["scan.pdf holds no text", f"{HOSTILE}.docx is damaged"],
    )
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("4")
        await settle(pilot)
        text = painted(pilot)
        for part in ("embedding", "40%", "1,203/3,000 chunks", "95 chunks/s", "19 s left", "2 files not indexed"):
            assert part in text, part
        await pilot.press("v", "v")
        await settle(pilot)
        assert "! scan.pdf holds no text" in painted(pilot)
        assert "\x1b" not in painted(pilot)
        await pilot.press("s")
        await settle(pilot)
        assert job.stop_file.exists()
        assert "stopping" in painted(pilot)


async def test_update_starts_a_build_of_the_same_sources_and_its_failure_is_told(
    workspace: Workspace, settle: Settle
) -> None:
    write_index(workspace, "handbook", source="/nowhere/at/all")
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("4")
        await settle(pilot)
        await pilot.press("u")  # its model has other weights than it was embedded with: nothing is done unasked
        await settle(pilot)
        said = " ".join(re.sub(r"[^\w().-]+", " ", painted(pilot)).split())
        assert "was built with other weights of all-minilm-l6-v2 than are here now (8 chunks to embed anew)" in said
        await pilot.press("enter")
        await settle(pilot)
        assert not control.jobs(workspace)
        await pilot.press("u")
        await settle(pilot)
        await pilot.press("down", "enter")
        await until(pilot, lambda: "failed: /nowhere/at/all" in painted(pilot))
        await settle(pilot)
        (job,) = control.jobs(workspace)
        asked = {"embedder": "all-minilm-l6-v2", "reembed": True}
        assert job.spec["arguments"] == {"name": "handbook", "update": True, **asked}
        assert "museum-hours.md" in painted(pilot), "what it held it still holds"
        await pilot.press("u")
        await until(pilot, lambda: job.status().attempt == 2 and not job.status().live)
        assert len(control.jobs(workspace)) == 1, "the failed job itself goes on"


async def test_whether_an_index_is_in_step_is_shown_as_it_changes(workspace: Workspace, settle: Settle) -> None:
    write_index(workspace, "handbook")
    folder = workspace.index("handbook")
    in_step.write(folder, InStep("in step"))
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("4")
        await settle(pilot)
        assert "in step" in painted(pilot)
        in_step.write(folder, InStep("updating", 3, 12))
        await until(pilot, lambda: "updating: 3 of 12 files" in painted(pilot))
        in_step.write(folder, InStep("behind", why="/srv/handbook: no such file or folder"))
        await until(pilot, lambda: "not in step: /srv/handbook: no such file" in painted(pilot))
        in_step.withdraw(folder)
        await until(pilot, lambda: "in step" not in painted(pilot))


async def test_documents_are_listed_read_and_opened(workspace: Workspace, settle: Settle) -> None:
    write_index(workspace, "handbook", faults=[Fault("/srv/handbook/scan.pdf", "holds no text")])
    write_index(workspace, "other", {"only.md": "# Only\n\nOne.\n"})
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("4")
        await settle(pilot)
        text = painted(pilot)
        for part in ("ready", "3 documents", "1 file not indexed", "all-minilm-l6-v2", "updated just now"):
            assert part in text, part
        pane = pilot.app.screen.query_one("#document-text", TextPane)
        assert pane.text == DOCUMENTS["ferry.md"], "the first one in the list"
        await pilot.press("enter", "j")
        await settle(pilot)
        assert pane.text == MUSEUM
        await pilot.press("enter")
        await settle(pilot)
        assert isinstance(pilot.app.screen, DocumentViewer)
        assert pilot.app.screen.query_one(TextPane).text == MUSEUM
        await pilot.press("escape", "v", "v")
        await settle(pilot)
        assert "! /srv/handbook/scan.pdf holds no text" in painted(pilot)
        await pilot.press("escape", "escape", "j")
        await settle(pilot)
        assert pane.text.startswith("# Only")


async def test_a_search_says_what_was_found_and_why_and_opens_it_in_its_document(
    workspace: Workspace, settle: Settle
) -> None:
    write_index(workspace, "handbook")
    engine = FakeEngine()
    with serving(workspace, engine):
        async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
            await pilot.press("4", "slash", *"When does the museum open?", "enter")
            await settle(pilot)
            assert engine.searched == [("handbook", "When does the museum open?")]
            text = painted(pilot)
            for part in (
                "3 found",
                "museum-hours.md",
                "line 5  Museum hours > Summer hours",
                "1.62",
                "in the library: 99%",
            ):
                assert part in text, part
            assert "dense 1  BM25 1  close 0.62  cosine 0." in text
            assert "dense 2  BM25 >100  close 0.00" in text
            hits = pilot.app.screen.query_one(Hits)
            assert hits.has_focus
            first = hits.get_option_at_index(0).prompt
            strong = {first.plain[span.start : span.end] for span in first.spans if "bold" in str(span.style)}
            assert {"museum", "open"} <= strong, "the question's words are emphasised"
            await pilot.press("j", "enter")
            await settle(pilot)
            viewer = pilot.app.screen
            assert isinstance(viewer, DocumentViewer)
            pane = viewer.query_one(TextPane)
            assert pane.passage == (HITS[1].start, HITS[1].end)
            await pilot.press("n")
            await settle(pilot)
            assert pane.passage == (HITS[0].start, HITS[0].end)
            assert "line 5" in painted(pilot)
            await pilot.press("escape", "escape")
            await settle(pilot)
            assert pilot.app.screen.query_one("#question").has_focus
            await pilot.press("end", *" now")  # the server has the index open: typing searches
            await until(pilot, lambda: engine.searched[-1] == ("handbook", "When does the museum open? now"))


async def test_a_hit_is_saved_as_a_retrieval_test_and_the_tests_are_evaluated_and_deleted(
    workspace: Workspace, settle: Settle
) -> None:
    write_index(workspace, "handbook")
    engine = FakeEngine()
    with serving(workspace, engine):
        async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
            await pilot.press("4", "slash", *"in:museum-hours.md since:2020-01-01 winter hours?", "enter")
            await settle(pilot)
            assert engine.searched == [("handbook", "winter hours?")]
            assert engine.filters == ["in:museum-hours.md since:2020-01-01"]
            await pilot.press("j", "t", "t")
            await settle(pilot)
            (saved,) = list_tests(workspace, "handbook")
            assert (saved.question, saved.document, saved.quote) == ("winter hours?", "museum-hours.md", HITS[1].text)
            await pilot.press("e")
            await settle(pilot)
            assert "winter hours?" in painted(pilot)
            await pilot.press("e")
            await until(pilot, lambda: "1 questions, percent" in painted(pilot))
            text = painted(pilot)
            assert "nDCG@10" in text
            fused = next(line for line in text.splitlines() if "fused" in line and "0-0" in line)
            assert fused.split("fused", 1)[1].split()[:2] == ["0", "0-0"], fused  # the right one is second
            assert set(engine.modes[-3:]) == {"dense", "lexical", "fused"}
            await pilot.press("d")
            await until(pilot, lambda: "No tests yet" in painted(pilot))
            assert list_tests(workspace, "handbook") == []
            await pilot.press("escape", "slash", "ctrl+u", *"since:soon x", "enter")
            await settle(pilot)
            assert "'soon' is not a day" in painted(pilot)


async def test_the_viewer_scrolls_to_the_passage_and_says_when_it_is_gone(workspace: Workspace, settle: Settle) -> None:
    long = "# Long\n\n" + "filler line\n" * 500 + "\n" + SUMMER + "\n\n" + "more\n" * 200
    write_index(workspace, "handbook", {"museum-hours.md": long, "ferry.md": "# Ferry\n\nRewritten.\n"})
    with serving(workspace, FakeEngine()):
        async with WorkbenchApp(workspace).run_test(size=(80, 24)) as pilot:
            await pilot.press("4", "slash", *"museum", "enter")
            await settle(pilot)
            await pilot.press("enter")
            await settle(pilot)
            pane = pilot.app.screen.query_one(TextPane)
            assert pane.text[slice(*pane.passage)] == SUMMER
            assert pane.scroll_y > 400
            assert "The museum is open" in painted(pilot)
            await pilot.press("escape", "G", "enter")
            await settle(pilot)
            assert "no longer holds" in painted(pilot)
            assert "Rewritten." in painted(pilot)


async def test_a_failing_search_is_told_in_one_line_and_the_screen_goes_on(
    workspace: Workspace, settle: Settle
) -> None:
    write_index(workspace, "handbook")
    with serving(workspace, FakeEngine()):
        async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
            await pilot.press("4", "slash", *"broken", "enter")
            await settle(pilot)
            assert "index handbook: the index is damaged. Update it." in painted(pilot)
            await pilot.press("ctrl+u", *"museum", "enter")
            await settle(pilot)
            assert "3 found" in painted(pilot)


async def test_damaged_and_unfinished_indexes_are_shown_as_such(workspace: Workspace, settle: Settle) -> None:
    write_index(workspace, "half", complete=False)
    write_index(workspace, "rotten")
    (workspace.index("rotten") / "index.sqlite").write_bytes(b"not a database" * 100)
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("4")
        await settle(pilot)
        assert "incomplete" in painted(pilot)
        await pilot.press("j")
        await settle(pilot)
        assert "damaged" in painted(pilot)
        assert not pilot.app._notifications


async def test_hostile_names_and_texts_are_shown_as_text(workspace: Workspace, settle: Settle) -> None:
    text = f"# {HOSTILE}\n\nmuseum {HOSTILE}\n"
    write_index(workspace, "handbook", {f"{HOSTILE}.md": text}, faults=[Fault(HOSTILE, HOSTILE)])
    hit = HITS[0].__class__(
        1, f"museum {HOSTILE}", f"{HOSTILE}.md", HOSTILE, HOSTILE, 0, 9, 3, 3, None, 0.04, 1, 1, 0.9
    )
    with serving(workspace, FakeEngine(hits=[hit])):
        async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
            await pilot.press("4")
            for keys in (["enter"], ["enter"], ["escape"], ["v", "v"], ["slash", *"museum", "enter"], ["enter"]):
                await pilot.press(*keys)
                await settle(pilot)
                assert "[/red]" in painted(pilot)
                assert not {"\x1b", "\x07", "\u202e"} & set(painted(pilot))
            assert not pilot.app._notifications
