"""Who may import whom: the chain of chapters only looks back."""

import ast
from pathlib import Path

import nbformat
import pytest

from minigpt.course.notebooks import BESIDE, chapters, module_name
from minigpt.public import EXPORTS

ROOT = Path(__file__).parents[1]
ORDER = (
    "tokenizer data bigram attention position multihead block gpt train "
    "sample cache lens pretrained finetune modern seq2seq scale serving sparse"
).split()
OUTSIDE = ("viz", "course", "run")
EXEMPT = ("00_welcome",)  # the preview shows what is to come


def minigpt_imports(source: str) -> list[tuple[str, tuple[str, ...]]]:
    """(module below minigpt, names taken from it) for each import."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [a.name.split(".") for a in node.names]
            found += [(n[1], ()) for n in names if n[0] == "minigpt" and n[1:]]
        if isinstance(node, ast.ImportFrom):
            parts = (node.module or "").split(".")
            taken = tuple(a.name for a in node.names)
            if node.level or parts == ["minigpt"]:
                found += [
                    (EXPORTS[n].split(".")[0], (n,))
                    if n in EXPORTS
                    else (n, ())
                    for n in taken
                ]
            elif parts[0] == "minigpt":
                found.append((parts[1], taken))
    return found


def top_level_names(source: str) -> set[str]:
    """What a module defines (not what it imports)."""
    names = set()
    for node in ast.parse(source).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            if isinstance(target, ast.Name):
                names.add(target.id)
    return names


def wrong_imports(source: str, here: int) -> list[str]:
    """Imports of `source`, module number `here`, that do not look back."""
    return [
        name
        for name, _ in minigpt_imports(source)
        if name not in (*ORDER[:here], *BESIDE)
    ]


def modules():
    return sorted(
        p
        for p in (ROOT / "minigpt").glob("*.py")
        if p.stem[:2] != "__" and p.stem not in BESIDE
    )


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.stem)
def test_module_imports_only_earlier_ones(path):
    assert path.stem in ORDER, "a module without a chapter"
    source = path.read_text(encoding="utf-8")
    assert wrong_imports(source, ORDER.index(path.stem)) == []


def test_an_upward_import_is_found():
    here = ORDER.index("attention")
    for line in (
        "from minigpt.gpt import GPT",
        "import minigpt.viz",
        "from minigpt import course",
        "from minigpt import GPT",
        "def f():\n    from minigpt.run import x",
        "from . import block",
    ):
        assert wrong_imports(line, here)
    assert not wrong_imports("from minigpt.bigram import fit", here)


def code(path):
    nb = nbformat.read(path, as_version=4)
    cells = [c.source for c in nb.cells if c.cell_type == "code"]
    lines = "\n".join(cells).splitlines()
    return nb, "\n".join(x for x in lines if not x.startswith(("%", "!")))


@pytest.mark.parametrize("path", chapters(ROOT), ids=lambda p: p.stem)
def test_chapter_uses_only_what_was_taught(path):
    if path.stem in EXEMPT:
        return
    nb, source = code(path)
    name = module_name(nb)
    here = ORDER.index(name) if name else int(path.name[:2]) - 1
    for module, taken in minigpt_imports(source):
        if module in OUTSIDE + BESIDE:
            continue
        assert module in ORDER[:here], f"{module} comes later"
        text = (ROOT / "minigpt" / f"{module}.py").read_text(encoding="utf-8")
        assert set(taken) <= top_level_names(text), f"not taught by {module}"


def test_chapters_export_their_module_in_order():
    names = [module_name(code(p)[0]) for p in chapters(ROOT)]
    names = [n for n in names if n]
    assert names == ORDER[: len(names)]
