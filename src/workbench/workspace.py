"""Where things lie: the workspace's folders, its settings, and what ships with the package."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import files
from workbench.errors import UserError
from workbench.hybrid import check_name

if TYPE_CHECKING:
    from workbench.settings import Settings

_NO_RECIPES = ("settings", "keymap")
"""Files in configs/ that are something else."""
_GITIGNORE = "# Made by the workbench.\n.workbench/\n*.sqlite-wal\n*.sqlite-shm\n"


@dataclass(frozen=True)
class Workspace:
    """A folder that holds everything one project of a user needs."""

    root: Path

    @property
    def database(self) -> Path:
        """Pairs, their history, chats and comparisons."""
        return self.root / "workbench.sqlite"

    @property
    def configs(self) -> Path:
        """Recipes and settings.yaml."""
        return self.root / "configs"

    @property
    def indexes(self) -> Path:
        """One folder an index."""
        return self.root / "indexes"

    @property
    def runs(self) -> Path:
        """One folder a run."""
        return self.root / "runs"

    @property
    def jobs(self) -> Path:
        """One folder a job that is not a run."""
        return self.root / "jobs"

    @property
    def private(self) -> Path:
        """The server's address and token, logs, the app's last place."""
        return self.root / ".workbench"

    def index(self, name: str) -> Path:
        """The folder of an index."""
        return self.indexes / check_name(name, "index")

    def run(self, name: str) -> Path:
        """The folder of a run."""
        return self.runs / check_name(name, "run")

    def settings(self) -> Settings:
        """The settings of this workspace; defaults where configs/settings.yaml says nothing or is absent.

        Raises:
            Faults: the file has faults; all are listed with their lines and keys.
        """
        from workbench.settings import load_settings

        settings = load_settings(self.configs / "settings.yaml")
        changed: dict[str, Any] = {key: self.model(getattr(settings, key)) for key in ("base_model", "embedding_model")}
        if named := settings.retrieval.reranker:
            changed["retrieval"] = settings.retrieval.model_copy(update={"reranker": self.model(named)})
        return settings.model_copy(update=changed)

    def model(self, name: str) -> str:
        """A model's name as all processes understand it: a folder inside the workspace becomes an absolute path."""
        folder = self.root / Path(name).expanduser()
        return str(folder.resolve()) if (folder / "config.json").is_file() else name

    def recipe(self, name: str) -> Path:
        """The recipe called `name`: a path, a file in configs/, or one that ships with the package.

        Raises:
            UserError: there is none; the error lists those there are.
        """
        given = Path(name).expanduser()
        candidates = [given if given.is_absolute() else Path.cwd() / given, self.root / given]
        for folder in (self.configs, shipped("configs")):
            candidates += [folder / name, folder / f"{name}.yaml"]
        for candidate in candidates:
            if candidate.is_file():
                return candidate
        known = ", ".join(path.stem for path in self.recipes()) or "none"
        raise UserError(f"there is no recipe {name!r}", do=f"Name a YAML file or one of: {known}.")

    def own_recipe(self, name: str) -> Path:
        """Where this workspace has, or would have, a recipe of its own called `name`.

        Raises:
            UserError: no recipe can be called so.
        """
        if check_name(name, "recipe") in _NO_RECIPES:
            raise UserError(f"configs/{name}.yaml is no recipe", do="Choose another name.")
        return self.configs / f"{name}.yaml"

    def recipes(self) -> list[Path]:
        """The workspace's recipes, then those that ship with the package and are not shadowed by name."""
        found: dict[str, Path] = {}
        for folder in (self.configs, shipped("configs")):
            for path in sorted(folder.glob("*.yaml")):
                if path.stem not in _NO_RECIPES:
                    found.setdefault(path.stem, path)
        return list(found.values())


def find(folder: Path | str | None = None) -> Workspace:
    """The workspace named, else $WORKBENCH_WORKSPACE, else the current folder. Nothing is written.

    Raises:
        UserError: the folder is absent or is not a folder.
    """
    root = Path(folder or os.environ.get("WORKBENCH_WORKSPACE") or Path.cwd()).expanduser().resolve()
    if not root.is_dir():
        raise UserError("is not a folder", where=str(root), do=f"Make it with `workbench init {root}`.")
    return Workspace(root)


def init(folder: Path | str) -> Workspace:
    """Make `folder` a workspace: its folders, a commented settings.yaml and keymap.yaml, a .gitignore. Safe to repeat.

    Raises:
        UserError: `folder` is a file or cannot be written.
    """
    root = Path(folder).expanduser().resolve()
    workspace = Workspace(root)
    try:
        for path in (workspace.configs, workspace.indexes, workspace.runs, workspace.jobs, root / "datasets"):
            path.mkdir(parents=True, exist_ok=True)
        for name in ("settings.yaml", "keymap.yaml"):
            if not (workspace.configs / name).exists():
                files.write_text(workspace.configs / name, (shipped("configs") / name).read_text(encoding="utf-8"))
        if not (root / ".gitignore").exists():
            files.write_text(root / ".gitignore", _GITIGNORE)
    except OSError as error:
        raise UserError(f"cannot become a workspace: {error.strerror}", where=str(root)) from None
    return workspace


def shipped(kind: str) -> Path:
    """The folder `configs` or `datasets` that ships with the package (in a checkout: at its root)."""
    beside = Path(__file__).parents[1]
    installed = beside / "hybrid_workbench_shipped" / kind  # where the wheel puts them, beside the packages
    return installed if installed.is_dir() else beside.parent / kind


def cache_folder() -> Path:
    """Where weights lie, shared by all workspaces: $WORKBENCH_CACHE, else the user's cache folder."""
    return _user_folder("WORKBENCH_CACHE", "user_cache_path")


def state_folder() -> Path:
    """What jobs of all workspaces share (the queue): $WORKBENCH_STATE, else the user's state folder."""
    return _user_folder("WORKBENCH_STATE", "user_state_path")


def _user_folder(variable: str, kind: str) -> Path:
    if value := os.environ.get(variable):
        return Path(value).expanduser().resolve()
    import platformdirs

    return getattr(platformdirs, kind)("hybrid-workbench")
