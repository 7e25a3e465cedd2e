"""What the app remembers of a workspace between two sittings: .workbench/app.json. Losing it loses nothing."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, fields

from workbench import files
from workbench.workspace import Workspace


@dataclass
class LastPlace:
    """The theme, the screen, the datasets and the queries that were last used."""

    theme: str = ""
    screen: str = "home"
    dataset: str = ""
    pair_queries: str = ""
    """What was asked for in the query line of the pairs, the latest first, a line each."""
    chat_dataset: str = ""
    """Where pairs made in the chat go."""
    recipe: str = ""
    """By which pairs are shown as the model sees them; empty: the newest run's."""


def load(workspace: Workspace) -> LastPlace:
    """What was remembered; defaults where there is nothing readable."""
    try:
        data = json.loads((workspace.private / "app.json").read_text(encoding="utf-8"))
        known = {field.name for field in fields(LastPlace)}
        return LastPlace(**{key: str(value) for key, value in data.items() if key in known})
    except (OSError, ValueError, AttributeError):
        return LastPlace()


def save(workspace: Workspace, place: LastPlace) -> None:
    """Remember it; a folder that cannot be written is no reason to disturb anybody."""
    with contextlib.suppress(OSError):
        workspace.private.mkdir(exist_ok=True)
        files.write_json(workspace.private / "app.json", asdict(place), durable=False)
