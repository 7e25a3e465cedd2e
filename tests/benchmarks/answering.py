"""How fast answers come: the lean decoder against transformers' own, the same greedy tokens, and search over HTTP.

python -P tests/benchmarks/answering.py [WORKSPACE INDEX]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median

from workbench.chat.client import Client
from workbench.chat.decode import Decoder, PlainDecoder
from workbench.chat.lean import LeanDecoder
from workbench.models.load import load_model, load_tokenizer
from workbench.models.local import ensure
from workbench.workspace import find, shipped

BASE = "smollm2-135m-instruct"
TOKENS = 48
REPEATS = 3


def answer(decoder: Decoder, prompt: list[int]) -> tuple[list[int], float, float]:
    """Greedy tokens, seconds to the first one, tokens a second after it; the best of some repeats."""
    first, speed, tokens = float("inf"), 0.0, []
    for _ in range(REPEATS):
        decoder.start([0])  # what the prompts have in common is read again
        begun = time.perf_counter()
        logits = decoder.start(prompt)
        assert logits is not None
        tokens = [int(logits.argmax())]
        first = min(first, time.perf_counter() - begun)
        begun = time.perf_counter()
        for _ in range(TOKENS - 1):
            tokens.append(int(decoder.step(tokens[-1]).argmax()))
        speed = max(speed, (TOKENS - 1) / (time.perf_counter() - begun))
    return tokens, first, speed


def main() -> None:
    """Print the figures."""
    folder = ensure(BASE)
    tokenizer = load_tokenizer(folder)
    documents = sorted((shipped("datasets") / "handbook" / "documents").glob("*.md"))
    text = "\n".join(path.read_text(encoding="utf-8") for path in documents[:4])
    prompts = []
    for length in (0, 1500, 6000):  # characters
        chat = [{"role": "user", "content": f"{text[:length]}\nWhat should a newcomer know?"}]
        written = str(tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False))
        prompts.append(tokenizer(written, add_special_tokens=False)["input_ids"])
    plain, lean = PlainDecoder(load_model(folder)), LeanDecoder(load_model(folder))
    for prompt in prompts:
        expected, slow_first, slow = answer(plain, prompt)
        tokens, first, speed = answer(lean, prompt)
        same = next((at for at, pair in enumerate(zip(expected, tokens, strict=True)) if pair[0] != pair[1]), TOKENS)
        print(
            f"{len(prompt):5} tokens: first after {first:.2f} s (transformers {slow_first:.2f}),"
            f" then {speed:.0f} a second (transformers {slow:.0f}); the first {same} of {TOKENS} are the same"
        )
    if len(sys.argv) == 3:
        with Client.from_workspace(find(Path(sys.argv[1]))) as client:
            seconds = []
            for number in range(60):
                begun = time.perf_counter()
                client.search(sys.argv[2], f"How is matter {number} of the handbook settled?", 5)
                seconds.append(time.perf_counter() - begun)
            print(f"search over HTTP, warm: {1000 * median(seconds[5:]):.1f} ms at the median")


if __name__ == "__main__":
    main()
