"""The settings of a workspace: configs/settings.yaml, every key with its meaning and unit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from workbench import yaml_file


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class ServerSettings(_Section):
    """Where the server listens."""

    host: str = "127.0.0.1"
    """Address to listen on; anything but loopback opens the models to the network."""
    port: int = Field(default=0, ge=0, le=65535)
    """TCP port; 0 takes a free one."""
    weights: Literal["float16", "int8"] = "float16"
    """How the server holds weights of the Llama family, without a GPU. int8: half the memory, but every product is off
    by about 1 %, so that other words may be chosen."""


class LibrarySettings(_Section):
    """How indexes are kept."""

    watch: bool = True
    """Whether the server follows the folders of the indexes: what is saved, moved or deleted there is in the answers
    within seconds."""


class RetrievalSettings(_Section):
    """How passages are searched for a question."""

    top_k: int = Field(default=4, ge=1, le=50)
    """Passages given to the model."""
    min_fit: float = Field(default=0.05, ge=0, le=1)
    """A question is "not in the library" when the probability that its best passage is about it is less than this; 0
    goes by `min_similarity`. Known for embedding models that were calibrated, all-minilm-l6-v2 among them."""
    min_similarity: float = Field(default=0.25, ge=-1, le=1)
    """For other embedding models: a question whose best passage is less similar than this (cosine) is "not in the
    library"."""
    reranker: str = ""
    """A sentence-transformers CrossEncoder that orders the best passages anew: a folder or a hub id; empty for none."""


class GenerationSettings(_Section):
    """How answers are generated."""

    max_new_tokens: int = Field(default=256, ge=1, le=32_768)
    """Tokens at most in an answer."""
    temperature: float = Field(default=0.0, ge=0, le=2)
    """0 is greedy; higher is more varied."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus sampling: the least probable tokens beyond this mass are left out."""


class RemoteSettings(_Section):
    """A model on another server that speaks the OpenAI API: vLLM, Ollama, llama.cpp, or a service."""

    url: str = Field(pattern=r"^https?://[^\s/@?#]+(/[^\s?#]*)?$")
    """Where it listens, such as http://127.0.0.1:11434/v1; without a user or a key in it."""
    model: str = Field(min_length=1, max_length=1024)
    """Its name there."""
    key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")
    """The environment variable that holds the key. The key itself is never kept in a file."""


class Settings(_Section):
    """All settings of a workspace."""

    base_model: str = "smollm2-135m-instruct"
    """The base model: a name of the catalogue, a hub id, or a folder."""
    embedding_model: str = "all-minilm-l6-v2"
    """The model that embeds chunks and questions: a name of the catalogue, a hub id, or a folder."""
    system_prompt: str = "You are a helpful assistant. Answer briefly."
    """What the model is told before every chat."""
    theme: str = "textual-dark"
    """The app's theme."""
    library: LibrarySettings = LibrarySettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    generation: GenerationSettings = GenerationSettings()
    server: ServerSettings = ServerSettings()
    remotes: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")], RemoteSettings] = {}
    """Models on other servers, by the name that a hybrid has in place of a base model: NAME or NAME+rag:INDEX."""


def load_settings(path: Path) -> Settings:
    """Read settings.yaml; an absent file gives the defaults.

    Raises:
        Faults: every fault with its line and key.
    """
    return yaml_file.load(path, Settings) if path.exists() else Settings()
