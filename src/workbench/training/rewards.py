"""What an answer is worth, for the online methods: a few measures by name, and reward models that were trained here."""

from __future__ import annotations

import json
import re as plain_re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import regex
import torch

from workbench.errors import UserError
from workbench.models.adapter import verified_adapter
from workbench.models.load import load_model, load_tokenizer
from workbench.models.local import ensure
from workbench.training.model import Plan
from workbench.training.recipe import OnlineSettings
from workbench.training.recipe_sections import RewardFunction
from workbench.workspace import Workspace

_PATIENCE = 1.0  # seconds that a user's pattern may take on one answer

Reward = Callable[..., list[float]]


def reward_functions(workspace: Workspace, online: OnlineSettings, tokenizer: Any, plan: Plan) -> list[Reward]:
    """The functions that TRL calls with prompts, completions and the dataset's columns, one for each in the recipe.

    Raises:
        UserError: a pattern is none, or a run has no reward model.
    """
    return [
        _model(workspace, settings, tokenizer, plan) if settings.run else _measure(settings)
        for settings in online.rewards
    ]


def pattern(completions: Sequence[str], expression: str) -> list[float]:
    """1 where the whole answer, without space around it, matches the regular expression."""
    compiled = regex.compile(expression, flags=regex.DOTALL)

    def matches(text: str) -> bool:
        try:
            return compiled.fullmatch(text.strip(), timeout=_PATIENCE) is not None
        except TimeoutError:
            return False

    return [float(matches(text)) for text in completions]


def reference(completions: Sequence[str], references: Sequence[str]) -> list[float]:
    """Token F1 with the pair's own completion (SQuAD, arXiv 1606.05250, without its articles)."""
    return [_f1(text, wanted) for text, wanted in zip(completions, references, strict=True)]


def length(completions: Sequence[str], max_words: int) -> list[float]:
    """1 up to `max_words` words, then falling to 0 at twice as many."""
    return [min(1.0, max(0.0, 2 - len(text.split()) / max_words)) for text in completions]


def json_object(completions: Sequence[str]) -> list[float]:
    """1 where the answer is a JSON object and nothing else."""

    def is_object(text: str) -> bool:
        try:
            return isinstance(json.loads(text), dict)
        except (ValueError, RecursionError):
            return False

    return [float(is_object(text)) for text in completions]


def _measure(settings: RewardFunction) -> Reward:
    if settings.function == "pattern":
        expression = settings.pattern or ""
        try:
            regex.compile(expression)
        except regex.error as error:
            raise UserError(f"is no regular expression: {error}", where=f"rewards: pattern {expression!r}") from None
        return _named("pattern", lambda completions, **_: pattern(completions, expression))
    if settings.function == "length":
        words = settings.max_words or 1
        return _named("length", lambda completions, **_: length(completions, words))
    if settings.function == "json":
        return _named("json", lambda completions, **_: json_object(completions))
    return _named("reference", lambda completions, reference=(), **_: globals()["reference"](completions, reference))


def _model(workspace: Workspace, settings: RewardFunction, tokenizer: Any, plan: Plan) -> Reward:
    """The score that a reward model of this workspace gives to prompt and answer."""
    from peft import PeftModel

    from workbench.training import runs

    assert settings.run
    spec = runs.find(workspace, settings.run).spec["arguments"]
    if spec["recipe"]["method"] != "reward":
        raise UserError(
            f"the run {settings.run!r} is no reward model", where="rewards: run", do="Name a run of method reward."
        )
    base = ensure(spec["base"])
    own = load_tokenizer(base)
    if (own.get_vocab(), own.chat_template) != (tokenizer.get_vocab(), tokenizer.chat_template):
        raise UserError(
            f"the run {settings.run!r} scores texts of another tokenizer or chat template, those of {spec['base']}",
            where="rewards: run",
            do="Train the reward model on the base that you train here.",
        )
    folder = verified_adapter(workspace.run(settings.run), base)
    model = load_model(base, dtype="float32" if plan.device == "cpu" else "bfloat16", device=plan.device, scores=True)
    judge: Any = PeftModel.from_pretrained(model, str(folder)).eval()
    judge.config.pad_token_id = tokenizer.pad_token_id

    def score(prompts: Sequence[str], completions: Sequence[str], **_: Any) -> list[float]:
        texts = [prompt + answer + tokenizer.eos_token for prompt, answer in zip(prompts, completions, strict=True)]
        inputs = tokenizer(texts, return_tensors="pt", padding=True, padding_side="right", add_special_tokens=False)
        with torch.inference_mode():
            return judge(**inputs.to(model.device)).logits[:, 0].float().tolist()

    return _named(settings.run, score)


def _named(name: str, function: Reward) -> Reward:
    function.__name__ = name  # TRL's metrics go by it
    return function


def _f1(text: str, wanted: str) -> float:
    mine, theirs = (Counter(plain_re.findall(r"\w+", each.casefold())) for each in (text, wanted))
    common = (mine & theirs).total()
    return 2 * common / (mine.total() + theirs.total()) if common else 0.0
