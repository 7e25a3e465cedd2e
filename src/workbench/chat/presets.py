"""The settings of one chat, and presets of them: YAML files in configs/presets/, each with its meaning and unit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml.comments import CommentedMap

from workbench import yaml_file
from workbench.errors import UserError
from workbench.hybrid import check_name
from workbench.workspace import Workspace, shipped


class ChatSettings(BaseModel):
    """How the hybrids of a chat are asked. What is left out the workspace's settings say."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    system: str | None = None
    """What the model is told before the chat; default: what its adapter was trained with, else the workspace's."""
    temperature: float | None = Field(None, ge=0, le=2)
    """0 is greedy; higher is more varied."""
    top_p: float | None = Field(None, gt=0, le=1)
    """Nucleus sampling: the least probable tokens beyond this mass are left out."""
    max_tokens: int | None = Field(None, ge=1, le=32_768)
    """Tokens at most in an answer."""
    seed: int | None = Field(None, ge=0, lt=2**63)
    """The same seed gives the same answer to the same prompt."""
    top_k: int | None = Field(None, ge=1, le=50)
    """Passages given to the model, where the hybrid has an index."""
    min_similarity: float | None = Field(None, ge=-1, le=1)
    """Cosine; a question whose best passage lies below is "not in the library"."""

    @property
    def given(self) -> dict[str, Any]:
        """The fields that say something."""
        return {name: value for name, value in self.model_dump(exclude_none=True).items() if value != ""}


def checked(values: Mapping[str, str]) -> ChatSettings:
    """Settings as they were typed; an empty value leaves the field to the workspace's settings.

    Raises:
        UserError: a value is not what its field takes; all are listed.
    """
    typed = {key: text if key == "system" else yaml_file.parse_value(text) for key, text in values.items() if text}
    try:
        return ChatSettings.model_validate(typed)
    except ValidationError as error:
        faults = [f"{fault['loc'][0]}: {fault['msg'][0].lower()}{fault['msg'][1:]}" for fault in error.errors()]
        raise UserError("; ".join(faults)) from None


def presets(workspace: Workspace) -> dict[str, Path]:
    """The files of the presets by name: the workspace's, then those that ship with the package."""
    found: dict[str, Path] = {}
    for folder in (_folder(workspace), shipped("configs") / "presets"):
        for path in sorted(folder.glob("*.yaml")):
            found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def load_preset(workspace: Workspace, name: str) -> ChatSettings:
    """A preset by its name.

    Raises:
        UserError: there is none of that name, or its file cannot be read.
        Faults: unknown or wrong keys; all are listed with their lines.
    """
    paths = presets(workspace)
    if name not in paths:
        raise UserError(f"there is no preset {name!r}", do=f"Use one of: {', '.join(paths) or 'none'}.")
    return yaml_file.load(paths[name], ChatSettings)


def save_preset(workspace: Workspace, name: str, settings: ChatSettings) -> Path:
    """Write a preset of the workspace; one of the same name is replaced, its comments stay.

    Returns:
        The file.

    Raises:
        UserError: no preset can be called so, or the file that is there is not YAML.
    """
    path = _folder(workspace) / f"{check_name(name, 'preset')}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    data = yaml_file.read(path) if path.exists() else CommentedMap()
    given = settings.given
    for key in [key for key in data if key not in given]:
        del data[key]
    data.update(given)
    yaml_file.write(path, data)
    return path


def _folder(workspace: Workspace) -> Path:
    return workspace.configs / "presets"
