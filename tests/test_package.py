"""The wheel works far away from the course's folder."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def run(*words, cwd):
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd, env=clean, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel in a fresh environment: a folder, and where its programs are.

    The environment takes everything but minigpt from the one of this test.
    """
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    leave = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "minigpt", folder / "minigpt", ignore=leave)
    pip = "-m", "pip", "--disable-pip-version-check"
    run(sys.executable, *pip, "wheel", "--no-deps", "--no-build-isolation",
        "-q", "-w", "wheels", ".", cwd=folder)  # fmt: skip
    shutil.rmtree(folder / "minigpt")
    (wheel,) = (folder / "wheels").iterdir()
    run(
        sys.executable,
        "-m",
        "venv",
        "--system-site-packages",
        "env",
        cwd=folder,
    )
    programs = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    python = programs / "python"
    place = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(run(python, "-c", place, cwd=folder).strip())
    (own / "parent.pth").write_text(sysconfig.get_path("purelib"))
    run(python, *pip, "install", "-q", "--no-deps", wheel, cwd=folder)
    return folder, programs


@pytest.mark.slow
def test_the_wheel_works_outside_of_the_repository(installed):
    folder, programs = installed
    code = (
        "import minigpt; print(minigpt.__file__)\n"
        "from minigpt import GPT, GPTConfig, load_model\n"
        "model, tokenizer = load_model()\n"
        "print(sum(p.numel() for p in model.parameters()))\n"
        "import minigpt.viz.attention_map"
    )
    where, n = run(programs / "python", "-c", code, cwd=folder).split()
    assert Path(where).is_relative_to(folder / "env") and int(n) > 3_000_000
    said = run(programs / "minigpt", "--help", cwd=folder)
    assert "usage: minigpt" in said
    words = "generate", "The American people", "--tokens", "5"
    said = run(programs / "minigpt", *words, cwd=folder)
    assert said.startswith("The American people")
    words = "train", "--preset", "fast", "--max-steps", "1", "--eval-every", "9"
    (folder / "text.txt").write_text("to be or not to be " * 99)
    run(programs / "minigpt", *words, "--corpus", "text.txt", cwd=folder)
    assert (folder / "runs" / "gpt" / "best.safetensors").exists()


def test_requirements_install_what_the_package_needs():
    """Each dependency of pyproject.toml, extras too, in the same range."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    lines = [line for line in lines if line and line[0] not in "#-"]
    there = {x.name: x.specifier for x in map(Requirement, lines)}
    needed = list(PROJECT["dependencies"])
    for extra in PROJECT["optional-dependencies"].values():
        needed += extra
    for requirement in map(Requirement, needed):
        assert requirement.name in there, requirement.name
        pinned = requirement.name == "torch"  # a build that was tested
        assert pinned or there[requirement.name] == requirement.specifier
    assert there.keys() == {Requirement(x).name for x in needed}
