"""Whether an exported model is the tuned one: its logits and answers to the run's samples, beside the original's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.errors import UserError
from workbench.training.export.source import Source, prompt_of

_POSITIONS = 64  # at the end of each sample: bounds the memory, and holds the answer
_SAMPLES = 8  # whose logits are compared; all are answered


@dataclass(frozen=True)
class Question:
    """One sample as the model reads it."""

    text: str
    """What the user asked."""
    prompt: str
    """As the chat template writes it; for a reward model with the answer that is scored."""
    reference: str


@dataclass(frozen=True)
class Heard:
    """What a model said to the questions."""

    ids: list[list[int]]
    """Prompt and answer of each sample whose logits are kept."""
    logits: list[Tensor]
    """Float32 [positions, vocabulary] each; of a reward model [1, 1]."""
    answers: list[str]


@dataclass(frozen=True)
class Tolerance:
    """How far an exported model may be from the tuned one."""

    max_abs_difference: float = math.inf
    """Of any logit."""
    mean_kl: float = math.inf
    """Nats: KL divergence of its next-token distribution from the tuned model's, mean over positions."""

    def __str__(self) -> str:
        if math.isfinite(self.max_abs_difference):
            return f"largest difference of a logit {self.max_abs_difference:g}"
        return f"mean KL {self.mean_kl:g} nats"


# What SmolLM2-135M gave: float32 1e-4 (a merge only rounds), f16 a mean KL of 1e-6 and q8_0 of 3e-3. A tensor in the
# wrong place gives several nats. bfloat16 keeps 8 bits of each weight, as q8_0 does.
EXACT = Tolerance(max_abs_difference=1e-3)
HALF = Tolerance(mean_kl=1e-3)
COARSE = Tolerance(mean_kl=2e-2)
SCORE = Tolerance(max_abs_difference=0.1)
"""Of a reward model in half precision: its one logit has no distribution."""


@dataclass(frozen=True)
class Agreement:
    """How near an exported model is to the tuned one, over the samples."""

    positions: int
    max_abs_difference: float
    mean_kl: float
    top1_agreement: float
    same_answers: int
    answers: int
    scores: bool = False
    """Of a reward model: one logit a sample."""

    def __str__(self) -> str:
        if self.scores:
            return f"largest difference of {self.answers} scores {self.max_abs_difference:.2g}"
        return (
            f"largest difference of a logit {self.max_abs_difference:.2g}, mean KL {self.mean_kl:.2g} nats, "
            f"same most probable token at {self.top1_agreement:.1%} of {self.positions} positions, "
            f"{self.same_answers} of {self.answers} answers the same"
        )


def questions_of(source: Source, tokenizer: Any) -> list[Question]:
    """The run's samples; for a reward model each with its better and its worse answer."""
    questions = []
    for sample in source.samples:
        asked, prompt = sample["messages"][-1]["content"], prompt_of(sample, tokenizer, source.system)
        answers = [sample.get(key) or "" for key in ("chosen", "completion", "rejected")]
        if not source.rewards:
            questions.append(Question(asked, prompt, answers[0] or answers[1]))
            continue
        for answer in filter(None, answers):
            questions.append(Question(f"{asked}\n{answer}", prompt + answer + (tokenizer.eos_token or ""), ""))
    return questions


def hear(model: Any, tokenizer: Any, questions: Sequence[Question], max_new_tokens: int, rewards: bool) -> Heard:
    """Let a model answer, greedily, and note its logits over prompt and answer; or its score, where it `rewards`."""
    heard, answers = [], []
    with torch.inference_mode():
        for question in questions:
            ids = _ids(tokenizer, question.prompt)
            if not rewards:
                answer = _answer(model, tokenizer, ids, max_new_tokens)
                answers.append(tokenizer.decode(answer, skip_special_tokens=True).strip())
                ids += answer
            if rewards or len(heard) < _SAMPLES:
                heard.append((ids, _logits(model, ids, rewards)))
            if rewards:
                answers.append(f"{heard[-1][1].item():.4f}")
    return Heard([ids for ids, _ in heard], [logits for _, logits in heard], answers)


def compare(tuned: Heard, model: Any, answers: Sequence[str], rewards: bool) -> Agreement:
    """Set an exported model beside the tuned one, on what the tuned one said.

    Args:
        tuned: what the tuned model said.
        model: the exported one, loaded again.
        answers: its own.
        rewards: whether they are reward models.

    Raises:
        UserError: its logits are not numbers.
    """
    largest, kl, same, positions = 0.0, 0.0, 0, 0
    with torch.inference_mode():
        for ids, wanted in zip(tuned.ids, tuned.logits, strict=True):
            found = _logits(model, ids, rewards)
            if not bool(found.isfinite().all()):
                raise UserError("the exported model gives logits that are not numbers", do="Export it in float32.")
            largest = max(largest, (found - wanted).abs().max().item())
            p, q = wanted.log_softmax(-1), found.log_softmax(-1)
            kl += (p.exp() * (p - q)).sum().item()
            same += int((found.argmax(-1) == wanted.argmax(-1)).sum())
            positions += len(wanted)
    return Agreement(
        positions, largest, max(0.0, kl / positions), same / positions,
        sum(a == b for a, b in zip(answers, tuned.answers, strict=True)), len(tuned.answers), rewards,
    )  # fmt: skip


def judge(agreement: Agreement, tolerance: Tolerance, form: str) -> None:
    """Refuse an export that is not the tuned model.

    Raises:
        UserError: it is outside the tolerance; the figures are told.
    """
    if agreement.max_abs_difference > tolerance.max_abs_difference or agreement.mean_kl > tolerance.mean_kl:
        raise UserError(
            f"the exported model is not the tuned one: {agreement}; allowed: {tolerance}",
            where=form,
            do="Nothing was written. Export another form, and report this.",
        )


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _answer(model: Any, tokenizer: Any, prompt: list[int], max_new_tokens: int) -> list[int]:
    ids = torch.tensor([prompt])
    output = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=max_new_tokens, do_sample=False,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return output[0, len(prompt) :].tolist()


def _logits(model: Any, ids: list[int], rewards: bool) -> Tensor:
    if rewards:
        return model(input_ids=torch.tensor([ids])).logits.float()
    return model(input_ids=torch.tensor([ids]), logits_to_keep=_POSITIONS, use_cache=False).logits[0].float()
