"""What the pictures of screens share: one SVG file a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from textual.widgets import Input, TextArea


class Picture(SingleFileSnapshotExtension):
    _write_mode = WriteMode.TEXT
    file_extension = "svg"


@pytest.fixture
def picture(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """Compare `app.export_screenshot()` with it."""
    return snapshot.use_extension(Picture)


@pytest.fixture
def settle(settle: Callable[..., Any]) -> Callable[..., Any]:
    """`await settle(pilot)`: as elsewhere, and until no cursor blinks."""

    async def until_still(pilot: Any) -> None:
        await settle(pilot)
        for field in (*pilot.app.screen.query(Input), *pilot.app.screen.query(TextArea)):
            field.cursor_blink = False
        await settle(pilot)

    return until_still
