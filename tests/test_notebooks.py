"""What every committed notebook must be, before nbval runs it."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from minigpt.course.execute import run_cells

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = sorted((ROOT / "book").glob("*.ipynb"))
MAX_BYTES = 400 * 1024
IGNORED = "nbval-ignore-output"


def asserts(source: str) -> bool:
    """Does the cell hold an assertion that can fail?"""
    plain = "\n".join(
        x for x in source.splitlines() if not x.lstrip().startswith("%")
    )
    nodes = list(ast.walk(ast.parse(plain)))
    tests = [n.test for n in nodes if isinstance(n, ast.Assert)]
    names = {ast.unparse(n.func) for n in nodes if isinstance(n, ast.Call)}
    return any(not isinstance(t, ast.Constant) for t in tests) or any(
        "assert_" in name for name in names
    )


def problems(nb) -> list[str]:
    """What makes this notebook unfit to be compared, in words."""
    code = [c for c in nb.cells if c.cell_type == "code" and c.source.strip()]
    found = []
    if code and not any(c.outputs for c in code):
        found.append("no stored outputs: nbval would compare nothing")
    if [c.execution_count for c in code] != list(range(1, len(code) + 1)):
        found.append("execution counts are not 1…n: not one fresh run")
    for number, cell in enumerate(nb.cells, 1):
        if cell.cell_type != "code":
            continue
        if any(x.output_type == "error" for x in cell.outputs):
            found.append(f"cell {number}: a stored output is an error")
        if any(x.get("name") == "stderr" for x in cell.outputs):
            found.append(f"cell {number}: standard error is stored")
        tags = cell.metadata.get("tags", [])
        if IGNORED in tags and not asserts(cell.source):
            found.append(f"cell {number}: output ignored, nothing asserted")
        marks = re.findall(r"(?i)^\s*#\s*nbval_\w+", cell.source, re.M)
        if marks or {"nbval-skip", "raises-exception"} & set(tags):
            found.append(f"cell {number}: hidden from the comparison")
    return found


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 4


@pytest.mark.parametrize("path", NOTEBOOKS + PAGES, ids=lambda p: p.stem)
def test_notebook_is_fit_to_be_compared(path):
    assert problems(nbformat.read(path, as_version=4)) == []


@pytest.mark.parametrize("path", NOTEBOOKS + PAGES, ids=lambda p: p.stem)
def test_notebook_is_small(path):
    size = path.stat().st_size
    assert size <= MAX_BYTES, f"{size / 1024:.0f} KB, at most 400"


@pytest.mark.slow  # a minute or two for each chapter
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_cell_can_be_run_twice_also_from_the_root(path):
    nb = nbformat.read(path, as_version=4)
    code = [c.source for c in nb.cells if c.cell_type == "code"]
    nb.cells = [new_code_cell(x) for x in code for _ in range(2)]
    run_cells(nb, ROOT / path.name)  # its folder is the kernel's


def broken(**changes):
    """A notebook of one cell that is in order but for `changes`."""
    cell = dict(
        source="print(1)",
        execution_count=1,
        outputs=[new_output("stream", name="stdout", text="1\n")],
        metadata={},
    )
    return new_notebook(cells=[new_code_cell(**(cell | changes))])


ERROR = new_output("error", ename="ValueError", evalue="no", traceback=[])
STDERR = new_output("stream", name="stderr", text="a warning")


@pytest.mark.parametrize(
    "changes, said",
    [
        (dict(outputs=[]), "no stored outputs"),
        (dict(execution_count=7), "counts"),
        (dict(execution_count=None), "counts"),
        (dict(outputs=[ERROR]), "an error"),
        (dict(outputs=[STDERR]), "standard error"),
        (dict(metadata={"tags": [IGNORED]}), "nothing asserted"),
        (
            dict(metadata={"tags": [IGNORED]}, source="assert True"),
            "nothing asserted",
        ),
        (dict(metadata={"tags": ["nbval-skip"]}), "hidden"),
        (dict(source="# NBVAL_IGNORE_OUTPUT\nprint(1)"), "hidden"),
    ],
)
def test_an_unfit_notebook_is_refused(changes, said):
    assert any(said in problem for problem in problems(broken(**changes)))


def test_a_fit_notebook_is_accepted():
    assert problems(broken()) == []
    tagged = dict(metadata={"tags": [IGNORED]}, source="assert len('a') == 1")
    assert problems(broken(**tagged)) == []
