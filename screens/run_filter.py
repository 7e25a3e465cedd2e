"""Which runs are listed: those in a state, with words in what they are, with tags. A plain object."""

from __future__ import annotations

from dataclasses import dataclass

from screens.watcher import Job

STATES = {
    "": (),
    "running": ("queued", "running", "paused", "stopping"),
    "done": ("done",),
    "stopped": ("stopped",),
    "failed": ("failed", "lost"),
}
"""What `f` turns to, and the states of a job that each shows; all at first."""


@dataclass
class RunFilter:
    """What is asked of a run to be listed."""

    state: str = ""
    """A key of `STATES`."""
    search: str = ""
    """Words that all occur in its name, state, recipe, dataset, base, method or tags; `tag:NAME` begins a tag."""

    @property
    def active(self) -> bool:
        """Whether it leaves anything out."""
        return bool(self.state or self.search.strip())

    def next_state(self) -> None:
        """All, running, done, stopped, failed in turn."""
        names = list(STATES)
        self.state = names[(names.index(self.state) + 1) % len(names)]

    def holds(self, run: Job) -> bool:
        """Whether the run is listed."""
        if self.state and run.status.state not in STATES[self.state]:
            return False
        tags = [tag.lower() for tag in run.tags]
        recipe = run.arguments.get("recipe")
        recipe = recipe if isinstance(recipe, dict) else {}
        told = [run.id, run.status.state, run.arguments.get("recipe_name"), run.arguments.get("base"), *tags]
        text = " ".join(str(each) for each in [*told, recipe.get("dataset"), recipe.get("method")] if each).lower()
        return all(
            any(tag.startswith(word.removeprefix("tag:")) for tag in tags) if word.startswith("tag:") else word in text
            for word in self.search.lower().split()
        )
