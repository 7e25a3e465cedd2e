"""A padded batch computed without its padding: all its tokens in one row, and a beginning that rows share only once.

The layout is a tree. A segment of tokens sees itself up to the present token, and the segments that lie before it on
the way to the root; the rows of a batch are the ways to the leaves. For a causal model that is exact: what a token
becomes depends on the tokens before it alone. A system prompt is then computed once a batch, the prompt of a
preference pair once for both answers, the prompt of an online method once for all its answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from workbench.training import attention

_WORTH_SHARING = 8  # tokens: below, one more segment costs attention more than it saves the layers


@dataclass(frozen=True)
class Segment:
    """Tokens [start, end) of the packed row, which also see the tokens of `before`, as (start, end) of that row."""

    start: int
    end: int
    before: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Layout:
    """How a padded batch [B, L] lies in one row [T]."""

    source: torch.Tensor
    """[T]: the flat index into [B * L] of each packed token."""
    positions: torch.Tensor
    """[1, T]: the position of each in its row of the batch."""
    real: torch.Tensor
    """[N]: the flat indices of all real tokens of the batch; N - T of them are shared."""
    places: torch.Tensor
    """[N]: where each of them lies in the packed row."""
    segments: tuple[Segment, ...]


def layout_of(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Layout:
    """The layout of a batch.

    Args:
        input_ids: [B, L].
        attention_mask: [B, L], 1 for real tokens; padding may be on either side.
    """
    width = input_ids.shape[1]
    kept = attention_mask.bool().cpu()
    rows = [ids[mask].tolist() for ids, mask in zip(input_ids.cpu(), kept, strict=True)]
    columns = [(mask.nonzero()[:, 0] + number * width).tolist() for number, mask in enumerate(kept)]
    order = sorted((number for number, row in enumerate(rows) if row), key=rows.__getitem__)
    alike = [_common(rows[a], rows[b]) for a, b in pairwise(order)]
    source: list[int] = []
    positions: list[int] = []
    segments: list[Segment] = []
    places = [[0] * len(row) for row in rows]

    def place(members: list[int], begin: int, end: int, before: tuple[tuple[int, int], ...]) -> tuple[int, int]:
        start = len(source)
        source.extend(columns[members[0]][begin:end])
        positions.extend(range(begin, end))
        for member in members:
            places[member][begin:end] = range(start, start + end - begin)
        segments.append(Segment(start, len(source), before))
        return start, len(source)

    # (first, last, tokens placed, segments before) of ranges of `order`
    waiting: list[tuple[int, int, int, tuple[tuple[int, int], ...]]] = [(0, len(order), 0, ())]
    while waiting:
        first, last, depth, before = waiting.pop()
        if last - first == 1:
            row = order[first]
            if depth < len(rows[row]):
                place([row], depth, len(rows[row]), before)
            continue
        shared = min(alike[first : last - 1], default=depth)
        if shared - depth >= _WORTH_SHARING:
            before = (*before, place(order[first:last], depth, shared, before))
            depth = shared
        cuts = [n + 1 for n in range(first, last - 1) if alike[n] - depth < _WORTH_SHARING]
        waiting += [(a, b, depth, before) for a, b in reversed(list(pairwise([first, *cuts, last])))]
    device = input_ids.device
    return Layout(
        source=torch.tensor(source, device=device),
        positions=torch.tensor([positions], device=device),
        real=torch.tensor([column for row in columns for column in row], device=device),
        places=torch.tensor([spot for row in places for spot in row], device=device),
        segments=tuple(segments),
    )


def pack(backbone: Any) -> None:
    """Let a transformers decoder compute padded batches without their padding.

    Args:
        backbone: a causal decoder, without its head. What is generated with a cache, or comes without a mask, is
            computed as before; the hidden states of padding are zero.
    """
    attention.register()
    plain = backbone.forward

    def forward(
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: torch.Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        if input_ids is None or attention_mask is None or attention_mask.dim() != 2 or past_key_values or use_cache:
            return plain(
                input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids,
                past_key_values=past_key_values, inputs_embeds=inputs_embeds, use_cache=use_cache, **kwargs,
            )  # fmt: skip
        layout = layout_of(input_ids, attention_mask)
        usual = backbone.config._attn_implementation
        backbone.config._attn_implementation = attention.NAME
        try:
            output = plain(
                input_ids=input_ids.flatten()[layout.source][None], position_ids=layout.positions, use_cache=False,
                segments=layout.segments, **kwargs,
            )  # fmt: skip
        finally:
            backbone.config._attn_implementation = usual
        hidden = output.last_hidden_state[0]
        padded = hidden.new_zeros(input_ids.numel(), hidden.shape[-1])
        padded = padded.index_copy(0, layout.real, hidden[layout.places])
        output.last_hidden_state = padded.view(*input_ids.shape, -1)
        return output

    backbone.forward = forward


def _common(a: list[int], b: list[int]) -> int:
    """How many tokens two rows begin with alike."""
    for n, (left, right) in enumerate(zip(a, b, strict=False)):
        if left != right:
            return n
    return min(len(a), len(b))
