"""The settings of one chat: its system prompt, how it is sampled and how passages are found; and presets of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import DescendantFocus
from textual.widgets import Input, Static, TextArea

from screens.modals.dialog import Dialog
from screens.modals.hints import hints
from screens.modals.prompt import Prompt
from screens.widgets.form import Option, Pick, Row
from workbench.chat.presets import ChatSettings, checked, load_preset, presets, save_preset
from workbench.errors import UserError
from workbench.hybrid import check_name
from workbench.settings import Settings
from workbench.text import for_terminal
from workbench.workspace import Workspace

_NONE = ""


class ChatSettingsDialog(Dialog[dict[str, Any] | None]):
    """The fields of `ChatSettings` that are set; None when the user left."""

    CSS_PATH = "chat_settings.tcss"
    AUTO_FOCUS = "Pick"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "Use", priority=True),
        Binding("ctrl+k", "keep", "Keep as a preset", priority=True),
        Binding("escape", "leave", "Cancel", priority=True),
    ]

    def __init__(self, workspace: Workspace, given: Mapping[str, Any], settings: Settings) -> None:
        """
        Args:
            workspace: whose presets there are.
            given: the fields that are set now.
            settings: of the workspace: what holds where nothing is set.
        """
        super().__init__()
        self._workspace, self._given, self._settings = workspace, given, settings
        self._names = list(presets(workspace))

    def compose(self) -> ComposeResult:
        otherwise = {
            "temperature": self._settings.generation.temperature,
            "top_p": self._settings.generation.top_p,
            "max_tokens": self._settings.generation.max_new_tokens,
            "seed": "none",
            "top_k": self._settings.retrieval.top_k,
            "min_similarity": self._settings.retrieval.min_similarity,
        }
        options = [Option(_NONE, "none", "as set below"), *(Option(name, name) for name in self._names)]
        with Vertical(classes="dialog dialog-wide"):
            yield Static("Settings of this chat", classes="dialog-title")
            yield Row("preset", "preset", Pick(options), "Its values are written below.")
            yield Static("system prompt", classes="field-label")
            yield TextArea(
                for_terminal(str(self._given.get("system") or "")), compact=True, highlight_cursor_line=False
            )
            for name, value in otherwise.items():
                written = Input(self._written(name), placeholder=f"{value}, the workspace's", compact=True)
                yield Row(name, name, written, ChatSettings.model_fields[name].description or "")
            yield Static(classes="form-hint", markup=False)
            yield Static(classes="dialog-fault", markup=False)
            yield Static(
                hints(
                    ("ctrl+s", "save", "use"),
                    ("ctrl+k", "keep", "keep as a preset"),
                    ("tab", "app.focus_next", "next"),
                    ("escape", "leave", "cancel"),
                ),
                classes="dialog-keys",
            )

    def on_mount(self) -> None:
        self.query_one(TextArea).placeholder = Content(for_terminal(self._settings.system_prompt))

    def _written(self, name: str) -> str:
        value = self._given.get(name)
        return "" if value is None else str(value)

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        row = event.widget.parent
        about = row.hint if isinstance(row, Row) else ChatSettings.model_fields["system"].description or ""
        self.query_one(".form-hint", Static).update(Content(about))

    @on(Pick.Changed)
    def _preset_picked(self) -> None:
        if name := self.query_one(Pick).value:
            try:
                self._given = load_preset(self._workspace, name).given
            except UserError as error:
                self._fault(error)
                return
            self.query_one(TextArea).text = for_terminal(str(self._given.get("system") or ""))
            for row in self.query(Row):
                if row.key != "preset":
                    row.query_one(Input).value = self._written(row.key)
        self._fault(None)

    def _fault(self, error: UserError | None) -> None:
        fault = self.query_one(".dialog-fault", Static)
        fault.display = error is not None
        self.query_one(".form-hint").display = error is None
        fault.update(Content(for_terminal(str(error or "").replace(f"{self._workspace.root}/", ""))))

    def _checked(self) -> ChatSettings | None:
        values = {row.key: row.text for row in self.query(Row) if row.key != "preset"}
        try:
            settings = checked({"system": self.query_one(TextArea).text.strip(), **values})
        except UserError as error:
            self._fault(error)
            return None
        self._fault(None)
        return settings

    def action_save(self) -> None:
        if (settings := self._checked()) is not None:
            self.dismiss(settings.given)

    def action_keep(self) -> None:
        if (settings := self._checked()) is None:
            return

        def named(name: str | None) -> None:
            if name:
                try:
                    path = save_preset(self._workspace, name, settings)
                except (UserError, OSError) as error:
                    self.app.report(error)
                    return
                self.app.tell(f"Kept in {path.relative_to(self._workspace.root)}")
                self.dismiss(settings.given)

        name = self.query_one(Pick).value
        self.app.push_screen(
            Prompt(
                "Name of the preset",
                name,
                detail="A file in configs/presets; one of that name is replaced.",
                check=lambda text: check_name(text, "preset"),
            ),
            named,
        )

    def action_leave(self) -> None:
        self.dismiss(None)
