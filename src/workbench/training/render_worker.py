"""The process that renders pairs for a screen: a line of JSON asks, a line of JSON answers, until its input ends.

It loads tokenizers, and no torch: transformers would import it as soon as it finds it. Only a recipe with `context:`
needs the embedding model, and so torch; then the process replaces itself by one that may load it.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import UserError
from workbench.workspace import Workspace

if TYPE_CHECKING:
    from workbench.pairs.reading import PairReader
    from workbench.training.prepare import Search
    from workbench.training.recipe import Recipe
    from workbench.training.rendered import Rendering

MODULE = "workbench.training.render_worker"
_KEPT = 4  # recipes, tokenizers and indexes that are kept open


class Renderer:
    """Renders pairs of a workspace; what it has read once it keeps, until the file changes.

    Args:
        workspace: whose.
        before_search: called before an index is searched for the first time: the place to make torch importable.
    """

    def __init__(self, workspace: Workspace, before_search: Callable[[], None] = lambda: None) -> None:
        self._workspace, self._before_search = workspace, before_search
        self._reader: PairReader | None = None
        self._searches: dict[str, Search] = {}
        self._clusters: tuple[tuple[str, int], dict[str, str]] = (("", -1), {})
        """Of which dataset at which version of the pairs, and what they are."""

    def close(self) -> None:
        """Close the database."""
        if self._reader:
            self._reader.close()

    def render(self, pair: int, recipe: str) -> Rendering:
        """The pair as a run of the recipe would take it now.

        Args:
            pair: its id.
            recipe: its name in configs/, or a file, such as runs/ID/recipe.yaml.

        Raises:
            UserError: there is no such pair or recipe, the recipe has faults, or the base model or the index is absent.
        """
        from workbench.models.local import ensure
        from workbench.training.control import name_of
        from workbench.training.rendering import render

        path = self._workspace.recipe(recipe)
        read, base, system = _recipe(self._workspace, path, _stamp(path), _stamp(self._settings))
        search = self._search(read.context.index) if read.context else None
        tokenizer = _tokenizer(ensure(base))
        if self._reader is None:
            from workbench.pairs.reading import PairReader

            self._reader = PairReader(self._workspace.database)
        found = self._reader.get(pair)
        clusters = self._clusters_of(self._reader, found.dataset)
        name = name_of(self._workspace, path)
        return render(
            found,
            read,
            name=name,
            base=Path(base).name,
            tokenizer=tokenizer,
            system=system,
            search=search,
            clusters=clusters,
        )

    @property
    def _settings(self) -> Path:
        return self._workspace.configs / "settings.yaml"

    def _clusters_of(self, reader: PairReader, dataset: str) -> dict[str, str]:
        now = dataset, reader.version()
        if self._clusters[0] != now:
            self._clusters = now, reader.clusters(dataset)
        return self._clusters[1]

    def _search(self, index: str) -> Search:
        if index not in self._searches:
            self._before_search()
            from workbench.training.prepare import search_of

            self._searches[index] = search_of(self._workspace, index)
        return self._searches[index]


@lru_cache(maxsize=_KEPT)
def _recipe(workspace: Workspace, path: Path, *stamps: tuple[int, int] | None) -> tuple[Recipe, str, str]:
    """A recipe with its base model and system prompt; read anew when `stamps` differ."""
    from workbench.training import control
    from workbench.training.recipe import load

    recipe = load(path)
    return recipe, *control.base_and_system(workspace, recipe)


@lru_cache(maxsize=_KEPT)
def _tokenizer(folder: Path) -> Any:
    from workbench.models.load import load_tokenizer

    return load_tokenizer(folder)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


def without_torch() -> bool:
    """Keep torch out of this process, unless it is there already; whether it is kept out.

    `None` in `sys.modules` is Python's own word for "not to be imported"; transformers then takes it for not installed.
    """
    return sys.modules.setdefault("torch", None) is None  # type: ignore[arg-type]


def serve(folder: str, first: str | None = None) -> None:
    """Answer the lines of standard input.

    Args:
        folder: the workspace's.
        first: a line that is answered before all others, by a process that may load torch.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints goes to the log
    asked = ""

    def with_torch() -> None:
        if sys.modules.get("torch", ...) is None:
            os.dup2(answers.fileno(), 1)
            os.execv(sys.executable, [sys.executable, "-P", "-m", MODULE, folder, asked])

    if first is None:
        without_torch()
    renderer = Renderer(Workspace(Path(folder)), with_torch)
    for asked in _lines(first):
        question = json.loads(asked)
        try:
            rendering = renderer.render(question["pair"], question["recipe"])
            answer = {"rendering": rendering.as_dict()}
        except UserError as error:
            answer = {"error": {"what": error.what, "where": error.where, "do": error.do}}
        except Exception as error:
            traceback.print_exc()
            what = f"the pair cannot be rendered: {type(error).__name__}: {error}"
            answer = {"error": {"what": what, "where": None, "do": "The details are in .workbench/render.log."}}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _lines(first: str | None) -> Any:
    if first is not None:
        yield first
    while line := _read_line():
        yield line


def _read_line() -> str:
    """A line of standard input, read without taking more: what follows is for the process that may come after."""
    line = b""
    while not line.endswith(b"\n"):
        if not (byte := os.read(0, 1)):
            return ""
        line += byte
    return line.decode()


if __name__ == "__main__":
    serve(*sys.argv[1:])
