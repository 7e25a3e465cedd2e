"""Renders each screen of a demo workspace to an SVG for the README: `make pictures`.

The app is driven by keys, as a person drives it, against the real server.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from textual.pilot import Pilot

from screens.app import WorkbenchApp
from workbench.workspace import find

SIZE = (100, 30)
QUESTION = "How many weeks of parental leave does a birth mother have?"


async def main(workspace: Path, target: Path) -> None:
    """Write home, pairs, training, compare, answers, library and chat .svg into `target`."""
    target.mkdir(parents=True, exist_ok=True)
    app = WorkbenchApp(find(workspace))
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "escape")  # out of the chat's input, where the app may open
        for key, name in (("1", "home"), ("2", "pairs"), ("3", "training")):
            await press(pilot, key)
            save(app, target / f"{name}.svg")
        await press(pilot, "6")
        save(app, target / "compare.svg")
        await press(pilot, "v", "enter")
        save(app, target / "answers.svg")
        await press(pilot, "4", "slash")
        await write(pilot, "What may I keep in the fridge of the guest rooms?")
        await press(pilot, "enter")
        await asyncio.sleep(30)  # the server starts and loads its models
        save(app, target / "library.svg")
        await press(pilot, "escape", "escape", "5")
        await write(pilot, QUESTION)
        await press(pilot, "enter")
        await asyncio.sleep(25)
        save(app, target / "chat.svg")


async def press(pilot: Pilot[object], *keys: str) -> None:
    """Press keys one by one, each painted before the next."""
    for key in keys:
        await pilot.press(key)
        await pilot.pause(0.6)


async def write(pilot: Pilot[object], text: str) -> None:
    """Type a line."""
    names = {" ": "space", "?": "question_mark", "'": "apostrophe"}
    await pilot.press(*(names.get(character, character) for character in text))


def save(app: WorkbenchApp, path: Path) -> None:
    """Write what is on the screen."""
    path.write_text(app.export_screenshot(title="Hybrid Workbench"), encoding="utf-8")
    print(path)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
