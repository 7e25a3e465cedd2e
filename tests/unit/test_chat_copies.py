"""Which weights are held, and what they take together."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from peft import PeftModel
from sample_adapter import tiny_model, write_adapter_run

from workbench.chat.copies import Copies
from workbench.models.load import load_model
from workbench.workspace import Workspace

PROMPT = [7, 3, 90, 41, 200, 15]


def test_copies_of_one_base_share_what_adapters_leave_and_the_oldest_makes_room(
    workspace: Workspace, tmp_path: Path
) -> None:
    base = tiny_model(tmp_path / "base", vocab_size=4000, max_position_embeddings=512)
    for name in ("one", "two", "three"):
        write_adapter_run(workspace, name, base)
    every = Copies(workspace)
    alone = []
    for run in (None, "one", "two"):
        every.get(str(base), run)
        alone.append(every.memory()["weights"])
    embeddings = 4000 * 32 * 2
    cache = 2 * 2 * 2 * 1024 * 8 * 4
    assert alone[0] > embeddings + cache
    assert alone[1] - alone[0] < alone[0] - 0.9 * embeddings
    assert alone[2] - alone[1] == cache  # the same adapter under another name
    assert list(every.loaded().values()) == ["lean"] * 3

    begun = time.perf_counter()
    first = every.get(str(base), None)
    assert time.perf_counter() - begun < 0.05
    assert every.get(str(base), None) is first

    few = Copies(workspace, room=alone[1] + cache // 2)  # two, with what reading needs
    for run in (None, "one", None, "two"):
        few.get(str(base), run).decoder.start(list(range(3, 203)))
    assert [name.rpartition(":")[2] for name in few.loaded()] == [str(base), "two"]
    kept = few.memory()["prefixes"]
    assert kept > 0
    few.get(str(base), "three")
    assert [name.rpartition(":")[2] for name in few.loaded()] == ["two", "three"]
    assert few.memory()["prefixes"] == kept // 2  # those of the base went with it

    # What is shared is still each copy's own model.
    for run in ("two", "three"):
        tuned = PeftModel.from_pretrained(load_model(base), str(workspace.run(run) / "adapter"))
        expected = tuned(input_ids=torch.tensor([PROMPT])).logits[0, -1]
        logits = few.get(str(base), run).decoder.start(PROMPT)
        assert logits is not None
        torch.testing.assert_close(logits, expected, atol=2e-2, rtol=0)
