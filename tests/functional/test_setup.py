"""What is installed is whole, imports little, and reaches nothing but loopback."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench.workspace import Workspace

ROOT = Path(__file__).parents[2]
Command = Callable[..., Any]
HEAVY = ["torch", "transformers", "peft", "usearch", "sentence_transformers", "datasets", "pandas", "scipy", "textual"]

# Run one job in this process while every connection but to loopback is told.
WATCHED = """
import sys
outside = []
def hook(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        if not str(arguments[1][0]).startswith(("127.", "::1")):
            outside.append(arguments[1])
    if event == "socket.getaddrinfo" and arguments[0] not in ("localhost", "127.0.0.1", None):
        outside.append(arguments[0])
sys.addaudithook(hook)
from workbench.jobs.__main__ import main
code = main(sys.argv[1])
print("OUTSIDE", outside, flush=True)
sys.exit(code or bool(outside))
"""


def test_the_command_answers_without_anything_heavy() -> None:
    script = (
        "import sys; sys.argv = ['workbench', '--help']\nfrom workbench.cli import main\n"
        f"try:\n    main()\nfinally:\n    print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert "pairs" in done.stdout
    assert done.stderr.strip() == "[]"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment with the built wheel; what it depends on is borrowed from this one."""
    place = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(place), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, cwd=place)
    environment = place / "venv"
    venv.create(environment, with_pip=False, symlinks=True)
    site = next(environment.glob("lib/python*/site-packages"))
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")  # its own .pth files are not read
    (wheel,) = place.glob("*.whl")
    install = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "install", "--no-deps"]
    subprocess.run([*install, "--no-index", str(wheel)], check=True, capture_output=True)
    return environment / "bin"


def test_a_wheel_installed_elsewhere_opens_the_app(installed: Path, tmp_path: Path) -> None:
    script = """
import asyncio, sys, workbench, screens
from workbench.workspace import init, shipped
from screens.app import WorkbenchApp
async def main():
    workspace = init("w")
    app = WorkbenchApp(workspace)
    async with app.run_test(size=(100, 30)) as pilot:
        for key in "12345":
            await pilot.press(key)
            await pilot.pause()
        assert type(app.screen).__name__ == "ChatScreen", app.screen
    print(workbench.__file__, [path.stem for path in workspace.recipes()])
    print(sum(1 for _ in (shipped("datasets") / "handbook" / "pairs.jsonl").open()))
asyncio.run(main())
"""
    command = [installed / "python", "-P", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    where, pairs = done.stdout.splitlines()[-2:]
    assert str(installed.parent) in where
    assert "handbook" in where
    assert int(pairs) >= 500
    listed = subprocess.run(
        [installed / "workbench", "models"], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert "smollm2-135m-instruct" in listed.stdout


def test_a_datasets_folder_never_shadows_the_library(tuned: Workspace, command: Command) -> None:
    for name in ("datasets", "torch", "screens", "workbench"):
        (tuned.root / name).mkdir(exist_ok=True)
        (tuned.root / name / "__init__.py").write_text("raise SystemExit('the wrong package was imported')")
    done = command("train", "quick", "--name", "one", "--follow", "--set", "max_steps=1")
    assert done.code == 0, done.err
    out = tuned.root / "out.parquet"
    assert command("pairs", "export", out, "--dataset", "numbers", "--form", "prompt/completion").code == 0
    assert out.is_file()


def test_jobs_reach_nothing_but_loopback(tuned: Workspace, command: Command) -> None:
    """A run with passages from an index, and the index itself, done again in a process that is watched."""
    documents = tuned.root / "documents"
    documents.mkdir()
    (documents / "numbers.md").write_text("# Numbers\n\nTwo plus one is 3. Seven plus one is 8.\n")
    built = command("index", "build", "numbers", documents)
    assert built.code == 0, built.err
    changes = ["--set", "max_steps=1", "--set", "context.index=numbers", "--set", "context.k=1"]
    trained = command("train", "quick", "--name", "one", "--follow", *changes)
    assert trained.code == 0, trained.err
    for folder in (next(job for job in tuned.jobs.iterdir() if job.is_dir()), tuned.run("one")):
        (folder / "prepared.json").unlink(missing_ok=True)
        done = subprocess.run(
            [sys.executable, "-P", "-c", WATCHED, folder], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "OUTSIDE []" in done.stdout


def test_the_floors_of_the_house() -> None:
    """The arrows between the packages, by import-linter."""
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_python_in_datasets_and_no_heavy_file_is_tracked() -> None:
    assert not list((ROOT / "datasets").rglob("*.py"))
    assert not (ROOT / "tests" / "__init__.py").exists()
