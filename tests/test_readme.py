"""The README captions every file and promises only what is there."""

import re
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MADE = {
    ".git", ".venv", "__pycache__", "_build", "runs", ".pytest_cache",
    ".ruff_cache", ".hypothesis", ".ipynb_checkpoints", "minigpt.egg-info",
}  # fmt: skip


def tree_lines() -> list[tuple[str, str]]:
    """(path or pattern, caption) for each line of the README's tree."""
    block = README.split("## What is where")[1].split("```")[1]
    found, folders = [], []
    for line in filter(str.strip, block.splitlines()):
        indent = (len(line) - len(line.lstrip())) // 2
        name, _, caption = line.strip().partition("  ")
        folders = folders[:indent]
        found.append(("/".join([*folders, name.rstrip("/")]), caption.strip()))
        if name.endswith("/"):
            folders.append(name.rstrip("/"))
    return found


def files() -> list[str]:
    """Every file of the project, as a path from the root."""
    found = []
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if path.is_file() and not MADE.intersection(parts):
            found.append("/".join(parts))
    return found


def test_every_line_has_a_caption_and_a_file():
    there = files()
    for name, caption in tree_lines():
        assert caption, f"{name} has no caption"
        fits = [
            f for f in there if fnmatch(f, name) or f.startswith(name + "/")
        ]
        assert fits, f"{name} is in the tree, but there is no such file"


def test_every_file_has_a_caption():
    names = [name for name, _ in tree_lines()]
    bare = [f for f in files() if not any(fnmatch(f, n) for n in names)]
    assert bare == [], "add a line for each to the README's tree"


def test_the_two_commands_come_first():
    commands = re.findall(r"```bash\n(.*?)\n```", README, re.S)
    assert commands[:3] == [
        "pip install -r requirements.txt && "
        "jupyter lab notebooks/00_welcome.ipynb",
        "pip install -r requirements.txt && pytest",
        "jupyter-book build .",
    ]
