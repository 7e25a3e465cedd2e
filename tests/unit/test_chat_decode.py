"""The decoders against transformers' own logits, on small random models."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM as Models
from transformers import (
    GemmaConfig,
    GPT2Config,
    GraniteConfig,
    LlamaConfig,
    MinistralConfig,
    MistralConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
    SmolLM3Config,
)

from workbench.chat import products
from workbench.chat.decode import Decoder, PlainDecoder, decoder_for
from workbench.chat.lean import LeanDecoder
from workbench.chat.prefixes import BLOCK, Prefixes

SMALL: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 512,
}
YARN_ROPE = {
    "rope_type": "yarn",
    "rope_theta": 10_000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 512,
}
WINDOWED = ["sliding_attention", "full_attention", "sliding_attention"]
LEAN = {
    "llama": LlamaConfig(**SMALL),
    "llama with biases": LlamaConfig(**SMALL, attention_bias=True, mlp_bias=True, tie_word_embeddings=True),
    "llama 3 positions": LlamaConfig(**SMALL, rope_parameters=LLAMA3_ROPE),
    "llama, wide heads": LlamaConfig(**SMALL, head_dim=16),
    "llama, yarn positions": LlamaConfig(**SMALL, rope_parameters=YARN_ROPE),
    "mistral": MistralConfig(**SMALL, sliding_window=None),
    "mistral with a window": MistralConfig(**SMALL, sliding_window=8),
    "ministral": MinistralConfig(**SMALL, sliding_window=8, head_dim=8, layer_types=WINDOWED),
    "qwen2": Qwen2Config(**SMALL),
    "qwen2 with windows": Qwen2Config(**SMALL, use_sliding_window=True, sliding_window=8, layer_types=WINDOWED),
    "qwen3": Qwen3Config(**SMALL, head_dim=16),
    "smollm3": SmolLM3Config(**SMALL, no_rope_layers=[1, 0, 1], pad_token_id=0),
    "granite": GraniteConfig(
        **SMALL, embedding_multiplier=3.0, residual_multiplier=0.4, attention_multiplier=0.2, logits_scaling=2.0
    ),
    "gemma": GemmaConfig(**SMALL, head_dim=16),
}
PLAIN = {
    "gpt2": GPT2Config(vocab_size=97, n_embd=48, n_layer=2, n_head=4, n_positions=2048),
    "mistral with positions in part": MistralConfig(
        **SMALL, rope_parameters={"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 0.5}
    ),
    "llama, dynamic positions": LlamaConfig(
        **SMALL, rope_parameters={"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 2.0}
    ),
}


def model_of(config: Any) -> PreTrainedModel:
    torch.manual_seed(1)
    model = Models.from_config(config).float().eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        if "bias" in name or "norm" in name:  # as initialised they would hide a mistake
            weight.data.add_(torch.randn_like(weight) * 0.1)
    return model


def expected(model: PreTrainedModel, tokens: list[int]) -> torch.Tensor:
    return model(input_ids=torch.tensor([tokens])).logits[0, -1]


def tokens(count: int, seed: int) -> list[int]:
    return torch.randint(0, 97, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


def check(decoder: Decoder, model: PreTrainedModel, prompt: list[int], answer: list[int], tolerance: float) -> None:
    logits = decoder.start(prompt)
    assert logits is not None
    torch.testing.assert_close(logits, expected(model, prompt), atol=tolerance, rtol=0)
    for count, token in enumerate(answer, 1):
        torch.testing.assert_close(
            decoder.step(token), expected(model, prompt + answer[:count]), atol=tolerance, rtol=0
        )


@pytest.mark.parametrize("config", [*LEAN.values(), *PLAIN.values()], ids=[*LEAN, *PLAIN])
def test_logits_are_those_of_the_model(config: Any) -> None:
    model = model_of(config)
    decoder = decoder_for(deepcopy(model))
    assert isinstance(decoder, LeanDecoder if config in LEAN.values() else PlainDecoder)
    tolerance = 2e-3 if isinstance(decoder, LeanDecoder) else 1e-4  # float16 weights in single steps
    check(decoder, model, tokens(40, 1), tokens(5, 2), tolerance)
    # A prompt that begins as the last one did, one that is the last one whole, a shorter one, and another one.
    check(decoder, model, tokens(40, 1) + tokens(20, 3), tokens(3, 4), tolerance)
    check(decoder, model, tokens(40, 1) + tokens(20, 3) + tokens(3, 4), tokens(2, 5), tolerance)
    check(decoder, model, tokens(40, 1)[:7], tokens(2, 6), tolerance)
    check(decoder, model, tokens(12, 7), tokens(2, 8), tolerance)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_long_prompts_are_read_in_chunks_and_the_cache_grows(name: str) -> None:
    model = model_of({**LEAN, **PLAIN}[name])
    check(decoder_for(deepcopy(model)), model, tokens(1300, 1), tokens(3, 2), 2e-3)


def test_activations_beyond_float16_are_computed_in_float32() -> None:
    model = model_of(LEAN["llama"])
    for layer in model.model.layers:
        layer.post_attention_layernorm.weight.data *= 1e5
    check(decoder_for(deepcopy(model)), model, tokens(40, 1), tokens(4, 2), 2e-3)


@pytest.mark.parametrize("name", ["llama with biases", "qwen3"])
def test_without_fbgemm(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "has_fbgemm", lambda: False)
    model = model_of(LEAN[name])
    decoder = decoder_for(deepcopy(model))
    check(decoder, model, tokens(140, 1), tokens(3, 2), 2e-3)
    copy = decoder_for(deepcopy(model))
    before = dict([*decoder.held(), *copy.held()])
    copy.share(decoder)
    assert len(dict([*decoder.held(), *copy.held()])) < len(before)


def test_activations_beyond_float16_without_fbgemm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "has_fbgemm", lambda: False)
    test_activations_beyond_float16_are_computed_in_float32()


@pytest.mark.skipif(not products.has_fbgemm(), reason="this torch has no FBGEMM")
def test_one_great_row_does_not_round_the_others_away_in_eight_bits() -> None:
    generator = torch.Generator().manual_seed(0)
    weight, x = (torch.randn(rows, 96, generator=generator) for rows in (64, 10))
    x[0] *= 500
    exact = x @ weight.T
    errors = (products.Eighths(weight, None).exactly(x) - exact).norm(dim=1) / exact.norm(dim=1)
    assert errors.max() < 0.03


@pytest.mark.skipif(not products.has_fbgemm(), reason="this torch has no FBGEMM")
def test_weights_of_eight_bits_are_near_and_half_as_large() -> None:
    model = model_of(LEAN["llama"])
    whole, rounded = decoder_for(deepcopy(model)), decoder_for(deepcopy(model), weights="int8")
    assert (whole.path, rounded.path) == ("lean", "lean, int8")
    prompt = [5, *tokens(139, 1)]
    logits, exact = rounded.start(prompt), expected(model, prompt)
    assert logits is not None
    assert (logits - exact).norm() < 0.05 * exact.norm()
    held = [sum(dict(each.held()).values()) for each in (whole, rounded)]
    assert held[1] < held[0]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens were read at once, in the order of reading."""
    read: list[int] = []
    for kind in (LeanDecoder, PlainDecoder):
        forward = kind._forward
        monkeypatch.setattr(
            kind, "_forward", lambda self, ids, *rest, f=forward: (read.append(len(ids)), f(self, ids, *rest))[1]
        )
    return read


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_what_is_in_common_is_not_read_again(name: str, read: list[int]) -> None:
    decoder = decoder_for(model_of({**LEAN, **PLAIN}[name]))
    one, other, count = tokens(2 * BLOCK + 9, 1), tokens(BLOCK + 5, 2), 2 * BLOCK

    def reads(prompt: list[int]) -> list[int]:
        read.clear()
        decoder.start(prompt)
        assert sum(read) + decoder.tokens_reused == len(prompt)
        return list(read)

    assert reads(one) == [BLOCK, BLOCK, 9]
    decoder.step(5)
    assert reads([*one, 5, 6, 7]) == [12]
    assert reads(other) == [BLOCK, 5]  # of another chat
    assert reads([*one, 5, 6, 7, 8]) == [13]
    assert reads([*other, 1]) == [6]
    assert reads([*one[: BLOCK + 3], *other]) == [BLOCK, 8]  # the chats' system prompt alone
    assert reads(one[:count]) == [BLOCK]  # its last token's logits are not kept
    decoder.forget()
    assert reads(one) == [BLOCK, BLOCK, 9]


def test_what_was_not_used_for_longest_makes_room(read: list[int]) -> None:
    config = LEAN["llama"]
    block = 4 * config.num_hidden_layers * 2 * config.num_key_value_heads * BLOCK * config.head_dim
    prefixes = Prefixes(4 * block)
    decoders = [decoder_for(model_of(config), prefixes) for _ in range(2)]
    chats = [tokens(BLOCK * 2 + 1, seed) for seed in range(3)]
    decoders[0].start(chats[0])
    decoders[1].start(chats[1])
    decoders[0].start(chats[0])  # now the other one is the older
    assert (decoders[0].tokens_reused, prefixes.bytes) == (2 * BLOCK, 4 * block)
    decoders[0].start(chats[2])
    decoders[0].start(chats[0])
    assert (decoders[0].tokens_reused, prefixes.bytes) == (2 * BLOCK, 4 * block)
    decoders[1].start(chats[2])
    assert decoders[1].tokens_reused == 0  # another decoder's blocks are of no use to it
    decoders[1].start(chats[1])
    assert decoders[1].tokens_reused == 0
    for decoder in decoders:
        decoder.forget()
    assert prefixes.bytes == 0


@pytest.mark.parametrize("name", ["llama", "mistral with a window", "gpt2"])
def test_the_same_prompt_gives_the_same_logits_whatever_was_before(name: str) -> None:
    model = model_of({**LEAN, **PLAIN}[name])
    fresh, used = decoder_for(deepcopy(model)), decoder_for(model)
    prompt, other = tokens(5 * BLOCK + 40, 1), tokens(2 * BLOCK, 2)
    first = fresh.start(prompt)
    assert first is not None
    used.start(prompt[: 4 * BLOCK - 3])
    for token in prompt[4 * BLOCK - 3 : 4 * BLOCK + 9]:  # the answer that the chat went on from
        used.step(token)
    for between in ([], other, [*prompt[: BLOCK + 1], *other], prompt[: 2 * BLOCK]):
        if between:
            used.start(between)
        again = used.start(prompt)
        assert again is not None
        assert torch.equal(again, first)
        assert used.tokens_reused >= 3 * BLOCK
    long = tokens(1300, 3)  # beyond the room that the cache begins with
    before = used.start(long)
    used.start(other)
    after = used.start(long)
    assert before is not None
    assert after is not None
    assert torch.equal(after, before)
    assert used.tokens_reused == 1300 // BLOCK * BLOCK
    for decoder in (used, fresh):
        decoder.start(prompt)
    if name != "gpt2":  # torch's own attention rounds by the number of threads
        assert torch.equal(used.step(7), fresh.step(7))


def test_equal_weights_are_held_once() -> None:
    model = model_of(LEAN["llama with biases"])
    tuned = deepcopy(model)
    tuned.model.layers[1].self_attn.q_proj.weight.data.add_(0.01)
    ours = deepcopy(tuned)
    base, copy = decoder_for(model), decoder_for(tuned)
    together = len(dict([*base.held(), *copy.held()]))
    copy.share(base)
    alone = dict(base.held()).keys()
    private = dict(copy.held()).keys() - alone
    assert len(private) == 2  # the changed projection and the cache
    assert len(alone) + 2 < together
    check(copy, ours, tokens(30, 1), tokens(2, 2), 2e-3)


def test_a_failure_in_the_middle_leaves_no_cache_that_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(LEAN["llama"])
    decoder = decoder_for(deepcopy(model))
    decoder.start(tokens(30, 1))
    with monkeypatch.context() as patch:
        patch.setattr(decoder, "_scaled", lambda *_: (_ for _ in ()).throw(MemoryError()))
        with pytest.raises(MemoryError):
            decoder.step(3)
    check(decoder, model, tokens(30, 1), tokens(2, 2), 2e-3)


def test_cancelled_between_chunks() -> None:
    model = model_of(LEAN["llama"])
    decoder = decoder_for(deepcopy(model))
    looks = iter([False, True])
    assert decoder.start(tokens(300, 1), lambda: next(looks)) is None
    check(decoder, model, tokens(300, 1)[:200], tokens(2, 2), 2e-3)
