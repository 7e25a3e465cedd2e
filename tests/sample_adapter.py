"""Runs with a real adapter, written as a run writes them but without the training: for what comes after it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workbench import files
from workbench.jobs.folder import JobFolder, Status
from workbench.models.adapter import FOLDER, MANIFEST
from workbench.models.local import fingerprint
from workbench.training.data import FrozenPair, freeze
from workbench.workspace import Workspace

PLAIN_CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
SYSTEM = "You answer as a pirate."


def tiny_model(folder: Path, architecture: str = "llama", *, digits: bool = False, **changes: Any) -> Path:
    """A random model of an architecture, with logits as far apart as a trained one's, and a ChatML tokenizer.

    Args:
        folder: where it is written.
        architecture: a `model_type` of transformers.
        digits: split numbers into digits, as SmolLM2's own tokenizer does.
        changes: of its config.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), split]) if digits else split  # type: ignore[assignment]
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet)  # type: ignore[call-arg]
    tokenizer.train_from_iterator(["What is the answer to the question of the pirate? It is one."] * 4, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|im_end|>",
        unk_token="<|endoftext|>", chat_template=PLAIN_CHATML,
    )  # fmt: skip
    torch.manual_seed(0)
    shape = {"tie_word_embeddings": True, "vocab_size": 304} | changes
    config = AutoConfig.for_model(
        architecture, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, eos_token_id=2, pad_token_id=2, bos_token_id=1, initializer_range=0.3, **shape,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def write_adapter_run(
    workspace: Workspace, name: str, base: Path, *, method: str = "sft", convert: bool = False, **lora: Any
) -> JobFolder:
    """A run `name` whose adapter was trained for a few steps on random tokens.

    Args:
        workspace: where it lies.
        name: of the run.
        base: the folder of its base model.
        method: reward makes a reward model.
        convert: save it relative to the base as it was (`path_initial_model_for_weight_conversion`).
        lora: of `peft.LoraConfig`.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    from workbench.training.export import merge

    torch.manual_seed(1)
    rewards = method == "reward"
    model = merge.load_scorer(base, 1) if rewards else merge.load(base)
    task = "SEQ_CLS" if rewards else "CAUSAL_LM"
    peft: Any = get_peft_model(model, LoraConfig(task_type=task, r=4, target_modules="all-linear", **lora))
    peft.config.pad_token_id = 2
    folder = workspace.runs / name
    folder.mkdir(parents=True)
    start = folder / "start"
    if convert:
        peft.save_pretrained(str(start))
    optimizer = torch.optim.AdamW([weight for weight in peft.parameters() if weight.requires_grad], lr=1e-2)
    ids = torch.randint(3, 260, (2, 12))
    for _ in range(3):
        output = peft(input_ids=ids) if rewards else peft(input_ids=ids, labels=ids)
        (output.logits.sum() if rewards else output.loss).backward()
        optimizer.step()
        optimizer.zero_grad()
    adapter = folder / FOLDER
    options = {"path_initial_model_for_weight_conversion": str(start)} if convert else {}
    peft.save_pretrained(str(adapter), save_embedding_layers=False, **options)
    files.write_json(
        adapter / MANIFEST,
        {
            "base": str(base),
            "base_fingerprint": fingerprint(base),
            "model": str(base),
            "system_prompt": SYSTEM,
            "files": {path.name: files.sha256_of(path) for path in adapter.iterdir() if path.is_file()},
        },
    )
    _write_run(folder, base, method)
    return JobFolder(folder)


def _write_run(folder: Path, base: Path, method: str) -> None:
    recipe = {"method": method, "dataset": "numbers", "samples": {"count": 2, "max_new_tokens": 4}, "context": None}
    files.write_json(
        folder / "spec.json",
        {
            "kind": "train",
            "title": f"train {folder.name}",
            "arguments": {"recipe": recipe, "recipe_name": "quick", "base": str(base), "system": SYSTEM},
            "created_at": 1.0,
        },
    )
    (folder / "recipe.yaml").write_text(f"method: {method}\ndataset: numbers\n", encoding="utf-8")
    pairs = [
        FrozenPair(f"key{n}", [{"role": "user", "content": f"What is {n} plus one?"}], f"It is {n + 1}.", "", True, [])
        for n in range(2)
    ]
    sha256 = freeze(folder, pairs)
    samples = [
        asdict(pair) | ({"chosen": "Two.", "rejected": "Three."} if method == "reward" else {}) for pair in pairs
    ]
    files.write_json(folder / "prepared.json", {"sha256": sha256, "samples": samples})
    events = [{"time": 1.0, "type": "metrics", "step": step, "eval_loss": loss} for step, loss in ((0, 4.5), (4, 3.25))]
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    JobFolder(folder).write_status(Status(state="done"), durable=False)
