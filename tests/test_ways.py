"""Three ways to work: what is given, what is left to write, how many lines."""

import ast
import re

import pytest

from minigpt.course import edition, exercises
from minigpt.course.check import check
from minigpt.course.judge import REFERENCE, put
from minigpt.course.notebooks import (
    chapters,
    is_exported,
    module_name,
    read,
    without_marks,
)
from minigpt.course.source import definition, solutions
from minigpt.course.ways import code_lines, emptied, lines_to_write

NOTEBOOKS = {
    name: nb
    for nb in map(read, chapters(REFERENCE.parent))
    if (name := module_name(nb)) in exercises.modules()
}


def exported(nb):
    return [c.source for c in nb.cells if is_exported(c)]


def defined(cells):
    """Qualified names of all functions and classes in some cells."""
    return {
        f"{getattr(node, 'name', '')}"
        for cell in cells
        for node in ast.walk(ast.parse(cell))
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    }


def signatures(source):
    """(name, arguments, docstring) of a cell's definitions and methods."""
    top = ast.parse(source).body
    methods = [x for c in top if isinstance(c, ast.ClassDef) for x in c.body]
    return [
        (x.name, ast.unparse(getattr(x, "args", [])), ast.get_docstring(x))
        for x in (*top, *methods)
        if isinstance(x, (ast.FunctionDef, ast.ClassDef))
    ]


@pytest.mark.parametrize("module", NOTEBOOKS)
def test_a_blank_page_keeps_every_signature_and_docstring(module):
    nb = NOTEBOOKS[module]
    made = edition.learner_notebook(nb, "blank-page")
    want = [without_marks(x) for x in exported(nb)]
    got = exported(made)
    assert defined(got) <= defined(want)
    for before, after in zip(want, got, strict=True):
        assert signatures(before) == signatures(after)


@pytest.mark.parametrize("module", NOTEBOOKS)
def test_from_nothing_names_all_that_the_module_must_define(module):
    nb = NOTEBOOKS[module]
    made = edition.learner_notebook(nb, "from-nothing")
    text = "\n".join(c.source for c in made.cells if c.cell_type == "markdown")
    code = text.split("```python\n")[1].split("```")[0]
    assert {n.name for n in ast.parse(code).body} == {
        n.name
        for x in exported(nb)
        for n in ast.parse(without_marks(x)).body
        if isinstance(n, (ast.FunctionDef, ast.ClassDef))
    }
    for cell in nb.cells:
        for line in solutions(cell.source) if is_exported(cell) else []:
            assert line not in text
    asked = [e.id for e in exercises.of(module) if hasattr(e, "cases")]
    checks = [c.source for c in made.cells if c.source.startswith("check(")]
    assert {x.split('"')[1] for x in checks} == set(asked)


@pytest.mark.parametrize("module", NOTEBOOKS)
def test_each_way_asks_for_more_lines(module):
    guided, blank, nothing = (
        lines_to_write(NOTEBOOKS[module], way)
        for way in ("guided", "blank-page", "from-nothing")
    )
    assert 0 < guided <= blank < nothing


def test_lines_are_counted_without_docstrings_and_comments():
    source = (
        '"""Text\nmore."""\n# note\nx = """a\nb"""\n\nreturn f(\n    x\n)\n'
    )
    assert code_lines(source) == 5


@pytest.mark.parametrize("module", NOTEBOOKS)
def test_whole_definitions_are_checked_too(module):
    """An empty one is not attempted, and what the course has passes."""
    cells = [without_marks(x) for x in exported(NOTEBOOKS[module])]
    for exercise in exercises.of(module):
        if not hasattr(exercise, "cases"):
            continue
        [cell] = [x for x in cells if exercise.name in defined([x])]
        text = definition(emptied(cell, module), exercise.name)
        names = dict(vars(__import__("minigpt." + module, fromlist=["x"])))
        put(text, f"<empty {exercise.id}>", names)
        result = check(exercise.id, names[exercise.name])
        assert result.status == "not attempted", result


def test_the_page_says_how_many_lines_each_way_asks_for():
    page = (REFERENCE.parent / "book" / "how_to_use.md").read_text("utf-8")
    for way in ("guided", "blank-page", "from-nothing"):
        lines = sum(lines_to_write(nb, way) for nb in NOTEBOOKS.values())
        assert re.search(rf"\| `{way}` \|.*\| {lines:,} \|", page), lines
