"""How fast answers come, beside transformers' `generate` and llama.cpp: one table, each engine in a process of its own.

python -P tests/benchmarks/chat.py [--only PART ...] [--engines ours generate ...] [--folder DIR]

Parts: `prompts`: seconds to the first token and tokens a second after prompts of 100, 400 and 1,500 tokens. `turns`:
seconds to the first token of every turn of a chat with the shipped handbook, and of the sixth turn's prompt elsewhere.
`swaps`: the time to change hybrids, and memory. `losses`: what rounding the weights does to the loss on text. `search`:
a warm search. All on SmolLM2-135M-Instruct with a LoRA adapter of random weights; greedy.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

BASE, EMBEDDING = "smollm2-135m-instruct", "all-minilm-l6-v2"
TUNED = f"{BASE}+lora:one"
LENGTHS = (100, 400, 1500)
TOKENS = 48
REPEATS = 2
ENGINES = {
    "ours": "ours",
    "ours-int8": "ours, int8",
    "generate": "transformers generate, float32, adapter active",
    "generate-bf16": "transformers generate, bfloat16, merged",
    "llama-f16": "llama.cpp, F16",
    "llama-q8_0": "llama.cpp, Q8_0",
}
QUESTIONS = (
    "How many days of annual leave do employees have?",
    "Who decides on it, and how long before must it be asked for?",
    "What must be done when somebody falls ill?",
    "How are travel expenses paid back?",
    "Which rules hold for working from home?",
    "What happens to leave that was not taken?",
)


def set_up(folder: Path) -> None:
    """A workspace with two adapters, an index of the handbook, the prompts, and GGUF files of the merged model."""
    import torch
    from peft import LoraConfig, get_peft_model

    from workbench.library.build import build
    from workbench.models.embed import Embedder
    from workbench.models.fetch import fetch
    from workbench.models.load import load_model, load_tokenizer
    from workbench.models.local import ensure
    from workbench.training.adapter import write
    from workbench.training.export import gguf_file
    from workbench.workspace import init, shipped

    workspace = init(folder / "workspace")
    base = fetch(BASE)
    tokenizer = load_tokenizer(base)
    documents = shipped("datasets") / "handbook" / "documents"
    build(
        workspace.index("handbook"),
        [documents],
        lambda name: Embedder(ensure(name)),
        Silent(),
        embedding_model=EMBEDDING,
    )
    for seed, name in enumerate(("one", "two")):
        torch.manual_seed(seed)
        lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
        model: Any = get_peft_model(load_model(base, dtype="float32", device="cpu"), lora)
        for key, weight in model.named_parameters():
            if "lora_B" in key:
                weight.data.normal_(std=0.002)
        workspace.run(name).mkdir(parents=True)
        write(workspace.run(name), model, base=BASE, base_folder=base, model=BASE, system_prompt="Be brief.", card="")
        if name == "one":
            merged = model.merge_and_unload(safe_merge=True)
            for kind in ("f16", "q8_0"):
                origin = gguf_file.Origin("benchmark", BASE, None)
                gguf_file.write(merged, tokenizer, folder / f"{kind}.gguf", kind, origin)
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(documents.glob("*.md")))
    words = tokenizer(text, add_special_tokens=False)["input_ids"]
    prompts = []
    for length in LENGTHS:
        ids: list[int] = []
        for _ in range(2):  # the template's own tokens are known after the first time
            quoted = tokenizer.decode(words[: length - max(0, len(ids) - length)] if ids else words[:length])
            chat = [{"role": "user", "content": f"{quoted}\nWhat should a newcomer know?"}]
            written = str(tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False))
            ids = tokenizer(written, add_special_tokens=False)["input_ids"]
        prompts.append(ids)
    (folder / "prompts.json").write_text(json.dumps(prompts))


class Silent:
    """A build's reporter that nobody reads."""

    def progress(self, *_: Any, **__: Any) -> None: ...
    def message(self, *_: Any, **__: Any) -> None: ...
    def check_stop(self) -> None: ...


Answerer = Callable[[list[int], int], tuple[list[int], float, float]]
"""Prompt and number of tokens to the tokens, the seconds to the first one, and to the last one."""


def lean(folder: Path, weights: str) -> Any:
    """Our decoder with the tuned model."""
    from workbench.chat.copies import Copies
    from workbench.models.local import ensure
    from workbench.workspace import Workspace

    copies = Copies(Workspace(folder / "workspace"))
    decoder = copies._load(ensure(BASE), "one", weights).decoder
    assert decoder.path.startswith("lean")
    return decoder


def ours(folder: Path, weights: str) -> Answerer:
    decoder = lean(folder, weights)

    def answer(prompt: list[int], count: int) -> tuple[list[int], float, float]:
        decoder.forget()
        begun = time.perf_counter()
        logits = decoder.start(prompt)
        assert logits is not None
        tokens = [int(logits.argmax())]
        first = time.perf_counter() - begun
        while len(tokens) < count:
            tokens.append(int(decoder.step(tokens[-1]).argmax()))
        return tokens, first, time.perf_counter() - begun

    return answer


def plain(folder: Path) -> Any:
    """The model in float32 with its adapter active, as transformers and PEFT compute it."""
    from peft import PeftModel

    from workbench.models.load import load_model
    from workbench.models.local import ensure

    adapter = folder / "workspace" / "runs" / "one" / "adapter"
    return PeftModel.from_pretrained(load_model(ensure(BASE), dtype="float32", device="cpu"), adapter).eval()


def generate(folder: Path, *, merged: bool) -> Answerer:
    import torch

    model = plain(folder)
    if merged:
        model = model.merge_and_unload().to(torch.bfloat16)

    def answer(prompt: list[int], count: int) -> tuple[list[int], float, float]:
        from transformers.generation.streamers import BaseStreamer

        class Clock(BaseStreamer):
            times: list[float] = []  # noqa: RUF012

            def put(self, value: Any) -> None:
                self.times.append(time.perf_counter())

            def end(self) -> None: ...

        clock = Clock()
        clock.times = []
        begun = time.perf_counter()
        options = {"do_sample": False, "max_new_tokens": count, "min_new_tokens": count, "streamer": clock}
        ids = torch.tensor([prompt])
        output = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **options)
        return output[0, len(prompt) :].tolist(), clock.times[1] - begun, clock.times[-1] - begun

    return answer


def llama(folder: Path, kind: str) -> Answerer:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(folder / f"{kind}.gguf")
    parameters.n_ctx, parameters.n_gpu_layers, parameters.n_parallel = 8192, 0, 1
    parameters.verbosity = -1
    server = xllamacpp.Server(parameters)

    def answer(prompt: list[int], count: int) -> tuple[list[int], float, float]:
        options = {"temperature": 0, "n_predict": count, "cache_prompt": False, "ignore_eos": True}
        reply = server.handle_completions({"prompt": prompt, "return_tokens": True, **options})
        timings = reply["timings"]
        first = timings["prompt_ms"] / 1000
        return reply.get("tokens", []), first, first + timings["predicted_ms"] / 1000

    return answer


def measure(engine: str, folder: Path, parts: list[str]) -> dict[str, Any]:
    """What one engine does with every prompt; run in a process of its own."""
    made = {
        "ours": lambda: ours(folder, "float16"),
        "ours-int8": lambda: ours(folder, "int8"),
        "generate": lambda: generate(folder, merged=False),
        "generate-bf16": lambda: generate(folder, merged=True),
        "llama-f16": lambda: llama(folder, "f16"),
        "llama-q8_0": lambda: llama(folder, "q8_0"),
    }[engine]
    answer = made()
    found: dict[str, Any] = {"prompts": [], "turn": None}
    answer(json.loads((folder / "prompts.json").read_text())[0], 4)
    if "prompts" in parts:
        for prompt in json.loads((folder / "prompts.json").read_text()):
            runs = [answer(prompt, TOKENS) for _ in range(REPEATS)]
            first = min(each[1] for each in runs)
            speed = max((TOKENS - 1) / (each[2] - each[1]) for each in runs)
            found["prompts"].append({"first": first, "speed": speed, "tokens": runs[0][0]})
    if "turns" in parts and (folder / "turn6.json").exists():
        sixth = json.loads((folder / "turn6.json").read_text())
        found["turn"] = min(answer(sixth, 1 if engine != "generate" else 2)[1] for _ in range(REPEATS))
    return found


def turns(folder: Path) -> dict[str, Any]:
    """Six turns of a chat with the handbook through the engine: seconds to the first token, retrieval among them."""
    from workbench.chat.answer import Question
    from workbench.chat.engine import Engine
    from workbench.workspace import Workspace

    engine = Engine(Workspace(folder / "workspace"))
    hybrid = f"{TUNED}+rag:handbook"
    engine.load(hybrid)
    list(engine.answer(Question(hybrid, ({"role": "user", "content": "Who is insured?"},), max_tokens=4)))  # warm
    decoder = engine._copies.get(BASE, "one").decoder  # type: ignore[union-attr]
    start, prompts = decoder.start, []
    decoder.start = lambda prompt, *rest: (prompts.append(list(prompt)), start(prompt, *rest))[1]  # type: ignore
    chat: list[dict[str, str]] = []
    rows = []
    for asked in QUESTIONS:
        chat.append({"role": "user", "content": asked})
        deltas = list(engine.answer(Question(hybrid, tuple(chat), max_tokens=40, min_similarity=-1)))
        figures = deltas[-1].figures
        assert figures
        rows.append([figures.prompt_tokens, figures.cached_tokens, figures.seconds_to_first_token])
        chat.append({"role": "assistant", "content": "".join(delta.text for delta in deltas)})
    decoder.forget()
    fresh = list(engine.answer(Question(hybrid, tuple(chat[:-1]), max_tokens=40, min_similarity=-1)))
    assert "".join(delta.text for delta in fresh) == chat[-1]["content"], "reuse changed the answer"
    (folder / "turn6.json").write_text(json.dumps(prompts[len(QUESTIONS) - 1]))
    return {"rows": rows, "fresh": fresh[-1].figures.seconds_to_first_token}  # type: ignore[union-attr]


def losses(folder: Path) -> dict[str, list[float]]:
    """What rounding the weights does: by kind of weights the mean loss (nats a token) on the handbook, and their bytes.
    128 tokens are read as a prompt, the 128 after them one by one, as an answer's are."""
    import torch
    import torch.nn.functional as F

    words = json.loads((folder / "prompts.json").read_text())[-1]
    texts = [words[begin : begin + 256] for begin in range(0, len(words) - 255, 256)]
    wanted = torch.tensor([text[128:] for text in texts])
    found: dict[str, list[float]] = {}

    def note(name: str, logits: list[torch.Tensor], held: int) -> None:
        found[name] = [F.cross_entropy(torch.stack(logits).flatten(0, 1), wanted.flatten()).item(), held]

    with torch.inference_mode():
        model = plain(folder)
        exact = [model(torch.tensor([text])).logits[0, 127:-1] for text in texts]
        note("transformers, float32", exact, sum(each.nbytes for each in model.parameters()))
    del model
    for weights in ("float16", "int8"):
        decoder = lean(folder, weights)
        read = [[decoder.start(text[:128]), *map(decoder.step, text[128:-1])] for text in texts]
        cache = decoder._cache.nbytes
        note(f"ours, {weights}", [torch.stack(each) for each in read], sum(dict(decoder.held()).values()) - cache)
    return found


def swaps(folder: Path) -> dict[str, Any]:
    """Loading the first time, changing between what is loaded, and memory."""
    from workbench.chat.engine import Engine
    from workbench.workspace import Workspace

    engine = Engine(Workspace(folder / "workspace"))
    hybrids = [BASE, TUNED, f"{BASE}+lora:two"]

    def seconds(hybrid: str) -> float:
        begun = time.perf_counter()
        engine.load(hybrid)
        return time.perf_counter() - begun

    first = [(seconds(hybrid), engine.status()["memory"]["weights"]) for hybrid in hybrids]  # type: ignore[index]
    again = [seconds(hybrids[number % 3]) for number in range(30)]
    return {"first": first, "swap_ms": [1000 * median(again), 1000 * max(again)]}


def search(folder: Path) -> float:
    """Milliseconds of a warm search over HTTP, the median of 60."""
    from workbench.chat.client import Client
    from workbench.workspace import Workspace

    with Client.from_workspace(Workspace(folder / "workspace")) as client:
        taken = []
        for number in range(65):
            begun = time.perf_counter()
            client.search("handbook", f"How is matter {number} of the handbook settled?", 5)
            taken.append(time.perf_counter() - begun)
    return 1000 * median(taken[5:])


def report(parts: list[str], engines: list[str], found: dict[str, Any]) -> None:
    """Print the tables; ratios are to `generate` in float32 with the adapter active."""
    plain = found.get("generate")
    if "prompts" in parts:
        print(f"{'':48}" + "".join(f"{length:>8} tokens{'':9}" for length in LENGTHS))
        for engine in engines:
            line = ""
            for at, row in enumerate(found[engine]["prompts"]):
                ratio = f"x{row['speed'] / plain['prompts'][at]['speed']:.1f}" if plain else ""
                line += f"{row['first']:6.2f} s {row['speed']:5.0f}/s {ratio:<8}"
            print(f"{ENGINES[engine]:48}{line}")
        if plain and "ours" in engines:
            same = [
                next(
                    (at for at, pair in enumerate(zip(a["tokens"], b["tokens"], strict=True)) if pair[0] != pair[1]),
                    TOKENS,
                )
                for a, b in zip(found["ours"]["prompts"], plain["prompts"], strict=True)
            ]
            print(f"the first {same} of {TOKENS} greedy tokens are those of generate in float32")
    if "turns" in parts:
        for number, (tokens, cached, first) in enumerate(found["chat"]["rows"], 1):
            print(f"turn {number}: {tokens:5} tokens, {cached:5} of them kept; first token after {first:.2f} s")
        last = found["chat"]["rows"][-1][2]
        print(f"the sixth turn without what was kept: {found['chat']['fresh']:.2f} s; the same answer")
        for engine in engines:
            if engine != "ours" and found[engine]["turn"]:
                seconds = found[engine]["turn"]
                print(f"its prompt, {ENGINES[engine]}: {seconds:.2f} s; ours {last / seconds:.2f} x")
    if "swaps" in parts:
        for name, (seconds, weights) in zip(("base", "one", "two"), found["swaps"]["first"], strict=True):
            print(f"loading {name}: {seconds:.1f} s; weights {weights / 2**20:.0f} MiB together")
        print("changing between them: {:.1f} ms at the median, {:.1f} at most".format(*found["swaps"]["swap_ms"]))
    if "losses" in parts:
        exact = found["losses"]["transformers, float32"][0]
        for name, (loss, held) in found["losses"].items():
            print(f"{name:24} loss {loss:.4f} ({loss - exact:+.4f}); weights {held / 2**20:.0f} MiB")
    if "search" in parts:
        print(f"search over HTTP, warm: {found['search']:.1f} ms at the median")


def main() -> None:
    """Measure what is asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=["prompts", "turns", "swaps", "losses"])
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    parser.add_argument("--folder", type=Path, help="keep what is set up here, for further parts")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp())
    if options.measure:
        one = {"chat": turns, "swaps": swaps, "losses": losses, "search": search, "setup": set_up}.get(options.measure)
        print(json.dumps(one(folder) if one else measure(options.measure, folder, options.only)))
        return

    def apart(what: str) -> Any:
        command = [sys.executable, "-P", __file__, "--measure", what, "--folder", str(folder), "--only", *options.only]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        result = done.stdout.strip().splitlines()[-1]
        print(f"{what}: {result}", file=sys.stderr, flush=True)  # what was measured before a later part fails
        return json.loads(result)

    if not (folder / "prompts.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        apart("setup")
    found: dict[str, Any] = {}
    if "turns" in options.only:
        found["chat"] = apart("chat")
    if {"prompts", "turns"} & set(options.only):
        found |= {engine: apart(engine) for engine in options.engines}
    found |= {part: apart(part) for part in ("swaps", "losses", "search") if part in options.only}
    report(options.only, options.engines, found)


if __name__ == "__main__":
    main()
