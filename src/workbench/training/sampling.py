"""What the model answers to a few fixed prompts while it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch

from workbench.training.conducted import Sampler
from workbench.training.data import Example, FrozenPair
from workbench.training.model import Plan
from workbench.training.recipe import Recipe


def make_sampler(samples: Sequence[tuple[Example, FrozenPair]], tokenizer: Any, recipe: Recipe) -> Sampler:
    """A function (model, plan, max_new_tokens) -> one `{"prompt", "answer", "reference"}` for each sample.

    A reward model does not answer: its "answer" is the score that it gives to the chosen and the rejected.
    """
    answers = _scores if recipe.method == "reward" else _generated

    def sample(model: Any, plan: Plan, max_new_tokens: int) -> list[dict[str, Any]]:
        if not samples:
            return []
        was_training = model.training
        model.eval()
        autocast = torch.autocast(plan.device, dtype=torch.bfloat16) if plan.autocast else nullcontext()
        # The random state stays as it is: greedy decoding draws nothing.
        with torch.inference_mode(), autocast:
            given = answers(model, tokenizer, [example for example, _ in samples], max_new_tokens)
        model.train(was_training)
        return [
            {"prompt": pair.messages[-1]["content"], "answer": answer, "reference": pair.completion}
            for (_, pair), answer in zip(samples, given, strict=True)
        ]

    return sample


def _generated(model: Any, tokenizer: Any, examples: Sequence[Example], max_new_tokens: int) -> list[str]:
    inputs = tokenizer(
        [example.prompt for example in examples],
        add_special_tokens=False, padding=True, padding_side="left", return_tensors="pt",
    ).to(model.device)  # fmt: skip
    output = model.generate(
        **inputs, max_new_tokens=max_new_tokens, do_sample=False, pad_token_id=tokenizer.pad_token_id
    )
    return tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def _scores(model: Any, tokenizer: Any, examples: Sequence[Example], _: int) -> list[str]:
    told = []
    for example in examples:
        scores = [
            model(input_ids=torch.tensor([example.prompt_ids + answer], device=model.device)).logits.item()
            for answer in example.answers
        ]
        names = ("chosen", "rejected")
        told.append(", ".join(f"{name} {score:+.3f}" for name, score in zip(names, scores, strict=False)))
    return told
