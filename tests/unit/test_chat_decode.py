"""The decoders against transformers' own logits, on small random models."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM as Models
from transformers import GPT2Config, LlamaConfig, MistralConfig, PreTrainedModel, Qwen2Config

from workbench.chat.decode import Decoder, PlainDecoder, decoder_for
from workbench.chat.lean import LeanDecoder

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
LEAN = {
    "llama": LlamaConfig(**SMALL),
    "llama with biases": LlamaConfig(**SMALL, attention_bias=True, mlp_bias=True, tie_word_embeddings=True),
    "llama 3 positions": LlamaConfig(**SMALL, rope_parameters=LLAMA3_ROPE),
    "llama, wide heads": LlamaConfig(**SMALL, head_dim=16),
    "mistral": MistralConfig(**SMALL, sliding_window=None),
    "qwen2": Qwen2Config(**SMALL),
}
PLAIN = {
    "gpt2": GPT2Config(vocab_size=97, n_embd=48, n_layer=2, n_head=4, n_positions=2048),
    "mistral with a window": MistralConfig(**SMALL, sliding_window=8),
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


def test_what_is_in_common_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = decoder_for(model_of(LEAN["llama"]))
    read: list[int] = []
    forward = decoder._forward
    monkeypatch.setattr(decoder, "_forward", lambda ids, *rest: (read.append(len(ids)), forward(ids, *rest))[1])
    decoder.start(tokens(600, 1))
    decoder.step(5)
    decoder.start([*tokens(600, 1), 5, 6, 7])
    decoder.start([*tokens(600, 1), 5])
    assert read == [256, 256, 88, 1, 91, 89]


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_the_same_prompt_gives_the_same_logits_whatever_was_before(name: str) -> None:
    model = model_of({**LEAN, **PLAIN}[name])
    fresh, used = decoder_for(deepcopy(model)), decoder_for(model)
    prompt = tokens(700, 1)
    first = fresh.start(prompt)
    used.start(prompt[:560])
    for token in prompt[560:570]:  # the answer that the chat went on from
        used.step(token)
    for _ in range(2):
        assert torch.equal(used.start(prompt), first)
    if name == "llama":  # torch's own attention rounds by the number of threads
        assert torch.equal(used.step(7), fresh.step(7))


def test_a_failure_in_the_middle_leaves_no_cache_that_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(LEAN["llama"])
    decoder = decoder_for(deepcopy(model))
    decoder.start(tokens(30, 1))
    with monkeypatch.context() as patch:
        patch.setattr(decoder, "_attend", lambda *_: (_ for _ in ()).throw(MemoryError()))
        with pytest.raises(MemoryError):
            decoder.step(3)
    check(decoder, model, tokens(30, 1), tokens(2, 2), 2e-3)


def test_cancelled_between_chunks() -> None:
    model = model_of(LEAN["llama"])
    decoder = decoder_for(deepcopy(model))
    looks = iter([False, True])
    assert decoder.start(tokens(1300, 1), lambda: next(looks)) is None
    check(decoder, model, tokens(1300, 1)[:700], tokens(2, 2), 2e-3)
