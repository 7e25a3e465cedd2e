"""The fast path computes what plain autograd computes: every layer kind, in float64, and whole models."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, Qwen2Config, Qwen3Config
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from workbench.training import attention, model
from workbench.training.augmented import augment
from workbench.training.data import Example
from workbench.training.loss import chunked_cross_entropy
from workbench.training.recipe import Recipe

SIZES = {
    "vocab_size": 97, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 6,
    "num_key_value_heads": 2, "head_dim": 4, "max_position_embeddings": 128, "tie_word_embeddings": False,
}  # fmt: skip
CONFIGS = {"llama": LlamaConfig(**SIZES), "qwen2": Qwen2Config(**SIZES), "qwen3": Qwen3Config(**SIZES)}


def test_packed_attention_is_sdpa_for_each_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    bounds = [0, 1, 6, 19]
    q, k, v = (torch.randn(1, h, 19, 4, dtype=torch.float64, requires_grad=True) for h in (6, 2, 2))
    expected = torch.cat(
        [
            F.scaled_dot_product_attention(
                q[:, :, s:e], k[:, :, s:e], v[:, :, s:e], is_causal=True, scale=0.3, enable_gqa=True
            )
            for s, e in pairwise(bounds)
        ],
        dim=2,
    ).transpose(1, 2)
    weights = torch.randn_like(expected)
    wanted = torch.autograd.grad((expected * weights).sum(), (q, k, v))
    for longest_grouped in (100, 0):  # the grouped product, then SDPA
        monkeypatch.setattr(attention, "_LONG", longest_grouped)
        got, _ = attention.packed_attention(torch.nn.Identity(), q, k, v, None, scaling=0.3, cu_seq_lens_q=bounds)
        torch.testing.assert_close(got, expected)
        for mine, theirs in zip(torch.autograd.grad((got * weights).sum(), (q, k, v)), wanted, strict=True):
            torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("bias", [False, True])
def test_augmented_layer_is_pefts(bias: bool) -> None:
    def fresh() -> torch.nn.Module:
        torch.manual_seed(1)
        net = torch.nn.Sequential(torch.nn.Linear(5, 7, bias=bias), torch.nn.Tanh(), torch.nn.Linear(7, 3, bias=bias))
        peft = get_peft_model(net.double(), LoraConfig(r=2, target_modules=["0", "2"]), autocast_adapter_dtype=False)
        for name, parameter in peft.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter)
        return peft

    x = torch.randn(4, 6, 5, dtype=torch.float64)
    plain, fast = fresh(), fresh()
    assert len(augment(fast)) == 2
    for net in (plain, fast):
        net(x).square().sum().backward()
    torch.testing.assert_close(fast(x), plain(x))
    gradients = {name: p.grad for name, p in plain.named_parameters() if p.requires_grad}
    assert len(gradients) == 4
    for name, parameter in fast.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(parameter.grad, gradients[name])


def test_chunked_cross_entropy_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.training.loss._CHUNK", 4)
    hidden = torch.randn(10, 8, dtype=torch.float64, requires_grad=True)
    weight, targets = torch.randn(30, 8, dtype=torch.float64), torch.randint(30, (10,))
    expected = F.cross_entropy(hidden @ weight.t(), targets, reduction="sum") / 13
    (wanted,) = torch.autograd.grad(expected, hidden)
    got = chunked_cross_entropy(hidden, weight, targets, 13)
    (mine,) = torch.autograd.grad(got, hidden)
    torch.testing.assert_close(got.double(), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(mine, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("architecture", CONFIGS)
def test_packed_and_plain_path_agree(architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(2)
    AutoModelForCausalLM.from_config(CONFIGS[architecture]).save_pretrained(tmp_path)
    recipe = Recipe(dataset="d", bf16=False)
    packed = model.build(recipe, tmp_path, "base")
    assert packed.path == "packed"
    assert packed.augmented
    monkeypatch.setattr(model, "_why_not_packed", lambda *_: "asked for")
    plain = model.build(recipe, tmp_path, "base")
    assert plain.path == "plain"
    batch = [Example(str(n), torch.randint(97, (n,)).tolist(), n // 2, "") for n in (4, 11, 30)]
    for each in (packed, plain):
        for name, parameter in each.parameters.items():
            if "lora_B" in name:
                torch.manual_seed(len(name))
                torch.nn.init.normal_(parameter, std=0.1)
        each.refresh()
    losses = [each.loss(batch, 20) for each in (packed, plain)]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=1e-6)
    for loss in losses:
        loss.backward()
    for name, parameter in packed.parameters.items():
        torch.testing.assert_close(parameter.grad, plain.parameters[name].grad, rtol=1e-3, atol=1e-6)


def test_an_unknown_architecture_takes_the_plain_path_and_says_so(tmp_path: Path) -> None:
    from transformers import GPT2Config

    config = GPT2Config(vocab_size=97, n_embd=24, n_layer=1, n_head=2, n_positions=64)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    built = model.build(Recipe(dataset="d", bf16=False), tmp_path, "base")
    assert built.path == "plain"
    assert "gpt2" in built.why
    assert built.loss([Example("k", [1, 2, 3, 4], 2, "")], 2).item() > 0
