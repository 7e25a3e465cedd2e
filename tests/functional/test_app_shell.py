"""What holds on every screen: modes, help, palette, themes, the last place, failures, untrusted text, the status."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sample_runs import write_run
from textual.content import Content
from textual.widgets import Static

from screens.app import WorkbenchApp
from screens.commands import SCOPES
from screens.modals.choose import Choice, Choose
from screens.modals.confirm import Confirm
from screens.modals.help import Help
from screens.modals.prompt import Prompt
from screens.widgets.key_bar import KeyBar
from screens.widgets.status_line import StatusLine
from workbench.errors import UserError
from workbench.workspace import Workspace

Settle = Callable[..., Any]
HOSTILE = "x\x1b]52;c;aGk=\x07[/red][@click=app.quit]y[/] \u202ez"


def painted(pilot: Any) -> str:
    """The text of the whole screen."""
    width, height = pilot.app.size
    lines = pilot.app.screen._compositor.render_strips()
    assert len(lines) == height
    return "\n".join("".join(segment.text for segment in line)[:width] for line in lines)


@pytest.mark.parametrize(("key", "name"), [("1", "HomeScreen"), ("3", "TrainingScreen")])
async def test_digits_show_screens(workspace: Workspace, settle: Settle, key: str, name: str) -> None:
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("3" if key == "1" else "1", key)
        await settle(pilot)
        assert type(pilot.app.screen).__name__ == name


async def test_the_last_screen_and_the_theme_come_back(workspace: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(workspace).run_test() as pilot:
        await pilot.press("3")
        await settle(pilot)
        pilot.app.theme = "nord"
        await settle(pilot)
    assert json.loads((workspace.private / "app.json").read_text())["theme"] == "nord"
    async with WorkbenchApp(workspace).run_test() as pilot:
        await settle(pilot)
        assert type(pilot.app.screen).__name__ == "TrainingScreen"
        assert pilot.app.theme == "nord"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"screen": "nowhere", "theme": "no such", "more": 1}'])
async def test_a_damaged_memory_is_forgotten(workspace: Workspace, settle: Settle, content: str) -> None:
    workspace.private.mkdir()
    (workspace.private / "app.json").write_text(content)
    async with WorkbenchApp(workspace).run_test() as pilot:
        await settle(pilot)
        assert type(pilot.app.screen).__name__ == "HomeScreen"


async def test_the_theme_of_the_settings_holds_until_one_is_chosen(workspace: Workspace, settle: Settle) -> None:
    (workspace.configs / "settings.yaml").write_text("theme: dracula\n")
    async with WorkbenchApp(workspace).run_test() as pilot:
        await settle(pilot)
        assert pilot.app.theme == "dracula"
    (workspace.configs / "settings.yaml").write_text("theme: gruvbox\n")
    async with WorkbenchApp(workspace).run_test() as pilot:
        await settle(pilot)
        assert pilot.app.theme == "gruvbox"


async def test_faults_of_the_settings_are_told_and_the_app_works(workspace: Workspace, settle: Settle) -> None:
    (workspace.configs / "settings.yaml").write_text("theem: dracula\nserver:\n  port: -1\n")
    async with WorkbenchApp(workspace).run_test() as pilot:
        await settle(pilot)
        told = " ".join(notice.message for notice in pilot.app._notifications)
        assert "theem" in told
        assert "server.port" in told
        await pilot.press("3")
        await settle(pilot)
        assert type(pilot.app.screen).__name__ == "TrainingScreen"


async def test_a_keymap_moves_a_command_and_names_unknown_ones(workspace: Workspace, settle: Settle) -> None:
    keymap = workspace.configs / "keymap.yaml"
    keymap.write_text("app.training: f5\n")
    async with WorkbenchApp(workspace).run_test() as pilot:
        await settle(pilot)
        await pilot.press("f5")
        await settle(pilot)
        assert type(pilot.app.screen).__name__ == "TrainingScreen"
    keymap.write_text("app.trainin: f5\n")
    async with WorkbenchApp(workspace).run_test() as pilot:
        await settle(pilot)
        assert any("app.trainin" in notice.message for notice in pilot.app._notifications)


@pytest.mark.parametrize("key", ["question_mark", "f1"])
async def test_help_names_every_key_of_the_screen(workspace: Workspace, settle: Settle, key: str) -> None:
    async with WorkbenchApp(workspace).run_test(size=(100, 80)) as pilot:
        await pilot.press("3", key)
        await settle(pilot)
        assert isinstance(pilot.app.screen, Help)
        text = painted(pilot)
        for command in (*SCOPES["training"], *SCOPES["lists"], *SCOPES["app"]):
            if command.keys:
                assert command.title in text, command.id
        await pilot.press("escape")
        await settle(pilot)
        assert type(pilot.app.screen).__name__ == "TrainingScreen"


async def test_footer_shows_the_registry_and_a_click_does_what_the_key_does(
    workspace: Workspace, settle: Settle
) -> None:
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await pilot.press("3")
        await settle(pilot)
        keys = list(pilot.app.screen.query_one(KeyBar).children)
        assert [key.description for key in keys] == [
            "New run", "Stop", "Resume", "Next view", "Help", "Palette", "Quit",
        ]  # fmt: skip
        await pilot.click(keys[4])
        await settle(pilot)
        assert isinstance(pilot.app.screen, Help)


async def test_palette_finds_commands_and_saves_a_picture(workspace: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(workspace).run_test() as pilot:
        await pilot.press("ctrl+p", *"picture")
        await settle(pilot)
        await pilot.pause(0.5)
        await pilot.press("enter")
        for _ in range(50):
            if pictures := list(workspace.root.glob("*.svg")):
                break
            await pilot.pause(0.05)
        assert "<svg" in pictures[0].read_text()


async def test_failures_are_shown_once_and_the_app_lives(workspace: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(workspace).run_test(notifications=True) as pilot:
        await settle(pilot)
        app, screen = pilot.app, pilot.app.screen

        def mistake() -> None:
            raise UserError(f"broken {HOSTILE}", where="here", do="Mend it.")

        screen.action_mistake = mistake  # type: ignore[attr-defined]
        await app.run_action("mistake", screen)
        screen.run_worker(mistake, thread=True, exit_on_error=False)
        screen.run_worker(lambda: 1 // 0, thread=True, exit_on_error=False)
        await settle(pilot)
        told = [notice.message for notice in app._notifications]
        assert sum("Mend it." in message for message in told) == 2
        assert sum("ZeroDivisionError" in message for message in told) == 1
        assert "Traceback" in (workspace.private / "app.log").read_text()
        assert "\x1b" not in "".join(told)
        assert "[/red]" in painted(pilot), "shown as it is written, not as markup"


async def test_dialogs_answer_by_key_and_show_hostile_text_as_text(workspace: Workspace, settle: Settle) -> None:
    answers: list[object] = []
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        for dialog, keys in (
            (Confirm(HOSTILE, HOSTILE, yes="Go"), ["y"]),
            (Confirm("Sure?"), ["tab", "enter"]),
            (Confirm("Sure?"), ["escape"]),
            (Prompt(HOSTILE, HOSTILE, detail=HOSTILE, suggestions=[HOSTILE]), ["ctrl+u", *"ok", "enter"]),
            (Prompt("Name"), ["escape"]),
            (Choose(HOSTILE, [Choice("a", HOSTILE, HOSTILE), Choice("b", "B")], current="a"), ["j", "enter"]),
            (Choose("Which?", [Choice("a", "A"), Choice("b", "B")], current="b"), ["enter"]),
        ):
            pilot.app.push_screen(dialog, answers.append)
            await settle(pilot)
            assert "\x1b" not in painted(pilot)
            assert "\u202e" not in painted(pilot)
            await pilot.press(*keys)
            await settle(pilot)
    assert answers == [True, False, False, "ok", None, "b", "b"]


async def test_prompt_says_why_it_refuses(workspace: Workspace, settle: Settle) -> None:
    def check(text: str) -> None:
        if text != "good":
            raise UserError(f"{text!r} will not do")

    answers: list[str | None] = []
    async with WorkbenchApp(workspace).run_test() as pilot:
        pilot.app.push_screen(Prompt("Name", "bad", check=check), answers.append)
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        assert "will not do" in painted(pilot)
        await pilot.press("ctrl+u", *"good", "enter")
        await settle(pilot)
    assert answers == ["good"]


async def test_status_line_follows_jobs_and_their_end_is_told(workspace: Workspace, settle: Settle) -> None:
    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        line = pilot.app.screen.query_one(StatusLine)
        assert "no jobs running" in str(line.render())
        job = write_run(workspace, "tone", "running", step=120, seconds_left=65)
        write_run(workspace, "next", "queued", step=0)
        pilot.app.look_at_jobs()
        await settle(pilot)
        text = str(line.render())
        for part in ("train tone", "60%", "loss 0.944", "1 min 05 s left", "+1 queued", "server off"):
            assert part in text
        job.write_status(replace(job.status(), state="failed", pid=None, error=f"it broke {HOSTILE}"))
        pilot.app.look_at_jobs()
        await settle(pilot)
        told = [notice.message for notice in pilot.app._notifications]
        assert len(told) == 1
        assert "it broke" in told[0]
        assert "\x1b" not in told[0]


async def test_mouse_on_a_widget_that_left_the_screen_does_not_crash(workspace: Workspace, settle: Settle) -> None:
    """Textualize/textual#6643: crashes 8.2.8 without `WorkbenchScreen.get_widget_and_offset_at`."""
    from textual.events import MouseDown, MouseMove
    from textual.geometry import Offset
    from textual.screen import Screen

    async with WorkbenchApp(workspace).run_test(size=(100, 30)) as pilot:
        await settle(pilot)
        screen = pilot.app.screen
        gone = Static(Content("gone"))
        await screen.mount(gone)
        await settle(pilot)
        await gone.remove()
        still_there = (gone, Offset(0, 0))

        def remembers(self: Screen[Any], x: int, y: int) -> tuple[Static, Offset]:
            return still_there  # as the compositor does until its next layout

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Screen, "get_widget_and_offset_at", remembers)
            for kind in (MouseDown, MouseMove):
                screen._forward_event(mouse(kind))
            await settle(pilot)
            await pilot.app.push_screen(plain := Screen())
            with pytest.raises(AttributeError, match="region"):  # when nothing is raised, the guard can go
                plain._forward_event(mouse(MouseDown))


def mouse(kind: Any) -> Any:
    """A left button's event at (5, 5)."""
    return kind(None, x=5, y=5, delta_x=0, delta_y=0, button=1, shift=False, meta=False, ctrl=False)


async def test_themes_light_dark_and_ansi_paint_every_screen(workspace: Workspace, settle: Settle) -> None:
    write_run(workspace, "tone", "running", step=60)
    async with WorkbenchApp(workspace).run_test(size=(80, 24)) as pilot:
        for theme in ("textual-light", "ansi-dark", "dracula"):
            pilot.app.theme = theme
            for key in ("1", "3", "question_mark", "escape"):
                await pilot.press(key)
                await settle(pilot)
            assert "tone" in painted(pilot)
