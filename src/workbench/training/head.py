"""The log-probabilities of the trained tokens, in chunks, their gradient computed in the forward pass.

The logits (tokens x vocabulary) are never kept: for a 49,152-word vocabulary they would be the largest tensor of all.
The gradient of a token's log-probability does not depend on the loss that is made of it, so one function serves
supervised fine-tuning and the preference losses. (The online ones divide the logits by a temperature: TRL's own.)
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from trl.trainer.utils import FusedCausalLMOutput

_CHUNK_BYTES = 16e6  # of float32 logits in memory at a time: what stays in a cache is not paid for twice


def token_log_probs(
    hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """log softmax(hidden weight^T)[target], and whether the target is the likeliest token.

    Args:
        hidden: [n, d], the last hidden states at the positions before the trained tokens.
        weight: [vocabulary, d], the output embedding; frozen.
        targets: [n], the trained tokens.

    Returns:
        [n] float32, whose gradient reaches `hidden` only; and [n] bool.
    """
    return _TokenLogProbs.apply(hidden, weight, targets)  # type: ignore[no-any-return]


class _TokenLogProbs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        wide = torch.float32 if hidden.dtype != torch.float64 else torch.float64
        log_probs = torch.empty(hidden.shape[0], dtype=wide, device=hidden.device)
        likeliest = torch.empty(hidden.shape[0], dtype=torch.bool, device=hidden.device)
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        chunk = max(16, int(_CHUNK_BYTES / (4 * weight.shape[0])))
        for start in range(0, hidden.shape[0], chunk):
            rows = slice(start, start + chunk)
            words = targets[rows, None]
            logs = torch.log_softmax((hidden[rows] @ weight.t()).to(wide), dim=1)
            mine = logs.gather(1, words)
            log_probs[rows] = mine[:, 0]
            likeliest[rows] = mine[:, 0] >= logs.amax(1)
            if gradient is not None:  # d log p(y) / d h = W_y - sum_v p(v) W_v
                probabilities = logs.exp_().neg_()
                probabilities.scatter_add_(1, words, torch.ones_like(mine))
                torch.mm(probabilities.to(weight.dtype), weight, out=gradient[rows])
        if gradient is not None:
            ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(likeliest)
        return log_probs, likeliest

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return (gradient * gradients[0][:, None]).to(gradient.dtype), None, None


def add_head(model: Any) -> None:
    """Give a causal language model the head that TRL's trainers call for (`fused_lm_head=True`), by `token_log_probs`.

    TRL's own (`trl.trainer.utils.add_fused_lm_head`) scores every position on CPU, the prompt's and the padding's too.
    Without that keyword the model computes as before. Call it after the trainer was made, which adds its own. Entropy
    and mean logits, which only feed figures that a run does not tell, are zero.

    Args:
        model: a transformers model without bias, scale or soft cap on its logits.
    """
    plain = model.forward

    def forward(
        self: Any, *args: Any, fused_lm_head: bool = False, labels: torch.Tensor | None = None, **kwargs: Any
    ) -> Any:
        if not fused_lm_head or labels is None:
            return plain(*args, fused_lm_head=fused_lm_head, labels=labels, **kwargs)
        kwargs["use_cache"] = False
        hidden = self.base_model(*args, **kwargs).last_hidden_state[:, :-1]
        mask = labels[:, 1:] != -100
        scored, likeliest = token_log_probs(hidden[mask], self.get_output_embeddings().weight, labels[:, 1:][mask])
        zeros = scored.new_zeros(mask.shape)
        log_probs = zeros.masked_scatter(mask, scored)
        return FusedCausalLMOutput(
            loss=-scored.sum() / max(1, len(scored)),
            log_probs=log_probs,
            entropy=zeros.detach(),
            mean_logits=zeros.detach(),
            is_top1=torch.zeros_like(mask).masked_scatter(mask, likeliest),
            label_mask=mask,
        )

    model.forward = MethodType(forward, model)
