"""The fast path computes what plain autograd computes: every layer kind, in float64, and whole models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config, SmolLM3Config
from transformers.models.auto.modeling_auto import AutoModelForCausalLM, AutoModelForSequenceClassification
from trl.trainer.utils import add_fused_lm_head

from workbench.training import attention, elementwise, head, model, packing
from workbench.training.augmented import augment
from workbench.training.packing import Segment, layout_of
from workbench.training.recipe import Recipe

SIZES: dict[str, Any] = {
    "vocab_size": 97, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 6,
    "num_key_value_heads": 2, "head_dim": 4, "max_position_embeddings": 128, "tie_word_embeddings": False,
    "pad_token_id": 0,
}  # fmt: skip
CONFIGS = {
    "llama": LlamaConfig(**SIZES), "qwen2": Qwen2Config(**SIZES), "qwen3": Qwen3Config(**SIZES),
    "mistral": MistralConfig(**SIZES, sliding_window=None), "smollm3": SmolLM3Config(**SIZES),
}  # fmt: skip


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def batch_of(rows: list[list[int]], *, left: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """input_ids and attention_mask [B, L] of rows of token ids."""
    longest = max(map(len, rows))
    pads = [[0] * (longest - len(row)) for row in rows]
    ids = [pad + row if left else row + pad for pad, row in zip(pads, rows, strict=True)]
    ones = [[1] * len(row) for row in rows]
    mask = [pad + one if left else one + pad for pad, one in zip(pads, ones, strict=True)]
    return torch.tensor(ids), torch.tensor(mask)


def test_a_layout_shares_what_rows_begin_with() -> None:
    system, prompt = list(range(10, 22)), list(range(30, 45))
    rows = [[*system, *prompt, 1, 2], [*system, *prompt, 3], [*system, 7, 8, 9], [5]]
    ids, mask = batch_of(rows, left=True)
    layout = layout_of(ids, mask)
    packed = ids.flatten()[layout.source].tolist()
    assert len(packed) == len(system) + len(prompt) + 2 + 1 + 3 + 1
    assert torch.equal(torch.tensor(packed)[layout.places], ids.flatten()[layout.real])
    assert layout.real.tolist() == mask.flatten().nonzero()[:, 0].tolist()
    for number, row in enumerate(rows):  # every row can be read along its segments
        last = layout.places[sum(map(len, rows[: number + 1])) - 1].item()
        segment = next(each for each in layout.segments if each.start <= last < each.end)
        way = [*segment.before, (segment.start, segment.end)]
        assert [packed[n] for start, end in way for n in range(start, end)] == row
        places = [layout.positions[0, n].item() for start, end in way for n in range(start, end)]
        assert places == list(range(len(row)))


def test_packed_attention_is_sdpa_with_a_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    segments = (Segment(0, 5, ()), Segment(5, 9, ((0, 5),)), Segment(9, 12, ((0, 5), (5, 9))), Segment(12, 19, ()))
    mask = torch.zeros(19, 19, dtype=torch.bool)
    for segment in segments:
        for n in range(segment.start, segment.end):
            mask[n, segment.start : n + 1] = True
            for start, end in segment.before:
                mask[n, start:end] = True
    q, k, v = (torch.randn(1, h, 19, 4, dtype=torch.float64, requires_grad=True) for h in (6, 2, 2))
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=0.3, enable_gqa=True).transpose(1, 2)
    weights = torch.randn_like(expected)
    wanted = torch.autograd.grad((expected * weights).sum(), (q, k, v))
    for longest_grouped in (100, 0):  # the grouped product, then SDPA
        monkeypatch.setattr(attention, "_LONG", longest_grouped)
        got, _ = attention.packed_attention(torch.nn.Identity(), q, k, v, None, scaling=0.3, segments=segments)
        torch.testing.assert_close(got, expected)
        for mine, theirs in zip(torch.autograd.grad((got * weights).sum(), (q, k, v)), wanted, strict=True):
            torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("bias", [False, True])
def test_augmented_layer_is_pefts(bias: bool, dropout: float) -> None:
    def fresh() -> Any:
        torch.manual_seed(1)
        net = torch.nn.Sequential(torch.nn.Linear(5, 7, bias=bias), torch.nn.Tanh(), torch.nn.Linear(7, 3, bias=bias))
        config = LoraConfig(r=2, target_modules=["0", "2"], lora_dropout=dropout)
        peft: Any = get_peft_model(net.double(), config, autocast_adapter_dtype=False)
        for name, parameter in peft.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter)
        return peft.train()

    x = torch.randn(4, 6, 5, dtype=torch.float64)
    plain, fast = fresh(), fresh()
    assert len(augment(fast)) == 2
    for net in (plain, fast):
        torch.manual_seed(2)
        net(x).square().sum().backward()
    gradients = {name: p.grad for name, p in plain.named_parameters() if p.requires_grad}
    assert len(gradients) == 4
    for name, parameter in fast.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(parameter.grad, gradients[name])
    plain.eval(), fast.eval()
    torch.testing.assert_close(fast(x), plain(x))
    with plain.disable_adapter(), fast.disable_adapter():
        torch.testing.assert_close(fast(x), plain(x))


@pytest.mark.parametrize("part", ["rms_norm", "gated"])
def test_the_cheap_parts_have_the_gradients_of_autograd(part: str) -> None:
    if part == "rms_norm":
        weight = torch.randn(6, dtype=torch.float64)
        inputs = (torch.randn(3, 6, dtype=torch.float64, requires_grad=True),)
        expected = F.rms_norm(inputs[0], (6,), weight, 1e-3)
        got = elementwise.rms_norm(inputs[0], weight, 1e-3)
    else:
        inputs = tuple(torch.randn(3, 6, dtype=torch.float64, requires_grad=True) for _ in range(2))
        expected = F.silu(inputs[0]) * inputs[1]
        got = elementwise.gated(*inputs)
    torch.testing.assert_close(got, expected)
    weights = torch.randn_like(expected)
    wanted = torch.autograd.grad((expected * weights).sum(), inputs)
    for mine, theirs in zip(torch.autograd.grad((got * weights).sum(), inputs), wanted, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_norm_that_computes_something_else_is_left_alone() -> None:
    class OddRMSNorm(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.eps = torch.nn.Parameter(torch.ones(6), requires_grad=False), 1e-6

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.rms_norm(x, (6,), 1 + self.weight, self.eps)  # as Gemma's

    odd = OddRMSNorm()
    assert elementwise.slim(torch.nn.Sequential(odd)) == 0
    assert "forward" not in vars(odd)


def test_token_log_probs_are_torchs_for_any_loss_made_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "_CHUNK_BYTES", 1)  # many chunks
    hidden = torch.randn(40, 8, dtype=torch.float64, requires_grad=True)
    weight, targets = torch.randn(30, 8, dtype=torch.float64), torch.randint(30, (40,))
    logits = hidden @ weight.t()
    expected = torch.log_softmax(logits, 1).gather(1, targets[:, None])[:, 0]
    got, likeliest = head.token_log_probs(hidden, weight, targets)
    torch.testing.assert_close(got, expected)
    assert torch.equal(likeliest, logits.argmax(1) == targets)
    for loss in (lambda x: -x.mean(), lambda x: F.softplus(-x[:20].sum() + x[20:].sum())):
        (wanted,) = torch.autograd.grad(loss(expected), hidden, retain_graph=True)
        (mine,) = torch.autograd.grad(loss(got), hidden, retain_graph=True)
        torch.testing.assert_close(mine, wanted)


def built(folder: Path, recipe: Recipe, path: str) -> tuple[Any, Any]:
    """A PEFT model by a path, with an adapter that does something; and its fast path."""
    plan = model.Plan("cpu", path, "", "float32", autocast=False)
    base = model.load_base(plan, recipe, folder)
    if recipe.method != "reward":
        add_fused_lm_head(base)
    torch.manual_seed(3)
    peft: Any = get_peft_model(base, model.lora_config(recipe))
    for name, parameter in peft.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return peft.train(), model.take_fast_path(peft, plan, recipe)


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_packed_and_plain_path_agree(architecture: str, left: bool, tmp_path: Path) -> None:
    AutoModelForCausalLM.from_config(CONFIGS[architecture]).save_pretrained(tmp_path)
    recipe = Recipe(dataset="d", bf16=False)
    assert model.plan(recipe, tmp_path).path == "packed"
    shared = torch.randint(1, 97, (12,)).tolist()
    rows = [
        [*beginning, *torch.randint(1, 97, (n,)).tolist()]
        for beginning, n in ((shared, 4), (shared, 18), ([], 9), ([], 1))
    ]
    ids, mask = batch_of(rows, left=left)
    labels = ids.masked_fill(mask == 0, -100)
    labels[:, :10] = -100
    results = []
    for path in ("packed", "plain"):
        peft, fast = built(tmp_path, recipe, path)
        assert bool(fast.augmented) == (path == "packed")
        assert fast.slimmed == (len([m for m in peft.modules() if "RMSNorm" in type(m).__name__]) + 2) * bool(
            fast.augmented
        )
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        more = {} if path == "packed" else {"position_ids": positions}
        out = peft(input_ids=ids, attention_mask=mask, labels=labels, fused_lm_head=True, use_cache=False, **more)
        weights = torch.linspace(-1, 1, out.log_probs.numel()).view_as(out.log_probs)
        (out.log_probs * weights).sum().backward()
        results.append((out, {name: p.grad for name, p in peft.named_parameters() if p.requires_grad}))
    (packed, packed_gradients), (plain, plain_gradients) = results
    torch.testing.assert_close(packed.log_probs, plain.log_probs, rtol=1e-5, atol=1e-5)
    assert torch.equal(packed.label_mask, plain.label_mask)
    for name, gradient in packed_gradients.items():
        torch.testing.assert_close(gradient, plain_gradients[name], rtol=1e-3, atol=1e-5)


def test_a_reward_model_scores_alike_on_both_paths(tmp_path: Path) -> None:
    AutoModelForSequenceClassification.from_config(LlamaConfig(**SIZES, num_labels=1)).save_pretrained(tmp_path)
    ids, mask = batch_of([torch.randint(1, 97, (n,)).tolist() for n in (5, 11, 3)])
    scores = []
    for path in ("packed", "plain"):
        peft, _ = built(tmp_path, Recipe(dataset="d", bf16=False, method="reward"), path)
        torch.nn.init.ones_(next(p for name, p in peft.named_parameters() if "score" in name and p.requires_grad))
        scores.append(peft(input_ids=ids, attention_mask=mask, use_cache=False).logits)
    torch.testing.assert_close(scores[0], scores[1], rtol=1e-4, atol=1e-5)


def test_what_is_generated_is_what_the_plain_path_generates(tmp_path: Path) -> None:
    AutoModelForCausalLM.from_config(CONFIGS["llama"]).save_pretrained(tmp_path)
    ids, mask = batch_of([torch.randint(1, 97, (n,)).tolist() for n in (5, 9)], left=True)
    answers = []
    for path in ("packed", "plain"):
        peft, _ = built(tmp_path, Recipe(dataset="d", bf16=False), path)
        peft.eval()
        peft(input_ids=ids, attention_mask=mask, use_cache=False)  # a packed pass leaves nothing behind
        answers.append(peft.generate(input_ids=ids, attention_mask=mask, max_new_tokens=8, do_sample=False))
    assert torch.equal(answers[0], answers[1])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"gradient_checkpointing": True}, "layer by layer"),
        ({"neftune_noise_alpha": 5}, "NEFTune"),
        ({"lora": {"use_dora": True}}, "DoRA"),
    ],
)
def test_what_the_fast_path_is_not_made_for_takes_the_plain_one(
    changes: dict[str, Any], why: str, tmp_path: Path
) -> None:
    CONFIGS["llama"].save_pretrained(tmp_path)
    plan = model.plan(Recipe(dataset="d", **changes), tmp_path)
    assert plan.path == "plain"
    assert why in plan.why


@pytest.mark.parametrize("changes", [{"method": "reward"}, {"lora": {"modules_to_save": ["embed_tokens"]}}])
def test_layers_that_are_trained_whole_are_held_in_float32(
    changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bfloat16 most steps of AdamW are smaller than a weight's last bit."""
    monkeypatch.setattr(model, "bf16_is_fast", lambda place: True)
    monkeypatch.setattr(model, "best_device", lambda: "cpu")
    CONFIGS["llama"].save_pretrained(tmp_path)
    assert model.plan(Recipe(dataset="d"), tmp_path).weights == "bfloat16"
    packed = model.plan(Recipe(dataset="d", **changes), tmp_path)
    assert (packed.path, packed.weights) == ("packed", "float32")
    asked = model.plan(Recipe(dataset="d", bf16=True, **changes), tmp_path)
    assert (asked.path, asked.weights, asked.autocast) == ("plain", "float32", True)


def test_an_unknown_architecture_takes_the_plain_path_and_says_so(tmp_path: Path) -> None:
    from transformers import GPT2Config

    GPT2Config(vocab_size=97, n_embd=24, n_layer=1, n_head=2, n_positions=64).save_pretrained(tmp_path)
    plan = model.plan(Recipe(dataset="d", bf16=False), tmp_path)
    assert plan.path == "plain"
    assert "gpt2" in plan.why


def test_packing_leaves_other_calls_as_they_are(tmp_path: Path) -> None:
    lm: Any = AutoModelForCausalLM.from_config(CONFIGS["llama"])
    ids = torch.randint(1, 97, (2, 6))
    before = lm(input_ids=ids).logits
    packing.pack(lm.base_model)
    assert torch.equal(lm(input_ids=ids).logits, before)
    assert lm(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=True).past_key_values is not None
