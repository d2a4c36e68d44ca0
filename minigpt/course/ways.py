"""Three ways to work on a chapter, from blanks to an empty file.

`guided`: the course's code with blanks in it. `blank-page`: signatures and
docstrings. `from-nothing`: what the module must do, and its checks.
"""

import ast
import io
import tokenize

from nbformat.v4 import new_code_cell, new_markdown_cell

from minigpt.course import exercises
from minigpt.course.cli import Way
from minigpt.course.notebooks import is_exported, module_name, without_marks
from minigpt.course.source import solutions, stub, tasks, turn

KINDS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
LAYOUT = (tokenize.NL, tokenize.INDENT, tokenize.DEDENT)
SPECIFICATION = """\
## What the module must do

Write `minigpt/{module}.py` in the cell below, in any way you like. These are
its parts: names, arguments and what each of them does. Everything else is up to
you. The checks below go through it one by one.

```python
{text}
```"""
EMPTY = """\
#| export
# your module: imports first, then one definition after the other
"""


def emptied(source: str, module: str) -> str:
    """A cell whose functions have signature and docstring, and are blank."""
    lines = source.splitlines()
    ids = {e.target: e.id for e in exercises.of(module) if hasattr(e, "target")}
    for name, node in reversed(_functions(ast.parse(source))):
        body = node.body
        first = body[1] if ast.get_docstring(node) and body[1:] else body[0]
        if first is body[0] and ast.get_docstring(node):
            continue  # nothing but a docstring
        blank = turn(ids.get(name, f"{module}.{name}"))
        made = [f"# sets {', '.join(names)}" for names in _sets(node)] + [blank]
        lines[first.lineno - 1 : node.end_lineno] = [
            " " * first.col_offset + line for line in made
        ]
    return "\n".join(lines)


def _functions(tree, prefix="") -> list:
    """(qualified name, node) of the functions and methods, from the top."""
    found = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found += _functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, KINDS):
            found.append((prefix + node.name, node))
    return found


def specification(source: str) -> str:
    """Signatures, fields and docstrings of what a module defines."""
    kept = [x for x in ast.parse(source).body if isinstance(x, KINDS)]
    return "\n\n".join(ast.unparse(_bare(node)) for node in kept)


def _bare(node):
    """A definition without what its functions do."""
    said = node.body[:1] if ast.get_docstring(node) else []
    if isinstance(node, ast.ClassDef):
        said += [x for x in node.body if isinstance(x, ast.AnnAssign)]
        said += [_bare(x) for x in node.body if isinstance(x, KINDS)]
    for names in _sets(node):
        said.append(ast.Expr(ast.Constant(f"Sets {', '.join(names)}.")))
    node.body = said or [ast.Expr(ast.Constant(...))]
    return node


def _sets(node) -> list[list[str]]:
    """The attributes that an `__init__` sets, where it sets any."""
    if node.name != "__init__":
        return []
    stored = [
        x.attr
        for x in ast.walk(node)
        if isinstance(x, ast.Attribute) and isinstance(x.ctx, ast.Store)
        and ast.unparse(x.value) == "self"
    ]  # fmt: skip
    return [list(dict.fromkeys(stored))] if stored else []


def cells_for(nb, way: Way) -> list:
    """The cells of a chapter in one of the ways, with checks, no outputs."""
    module = module_name(nb)
    if module not in exercises.modules():  # a chapter without exercises
        module, way = None, "guided"
    found = tasks(nb) if module else []
    if way == "from-nothing":
        return _from_nothing(nb, module, found)
    cells = []
    for place, cell in enumerate(nb.cells):
        here = [task for task in found if task.code == place]
        asked = [t for t in found if t.code is None and t.cell == place]
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            if way == "blank-page" and is_exported(cell):
                cell.source = emptied(without_marks(cell.source), module)
            elif here:
                cell.source = stub(cell.source, here)
            elif not module:
                cell.source = without_marks(cell.source)
        cells += [cell, *(_check_cell(task) for task in here + asked)]
    return cells


def _from_nothing(nb, module, found) -> list:
    """Title, specification, one empty cell and the checks."""
    text = SPECIFICATION.format(
        module=module, text=specification(_exported(nb))
    )
    asked = [_check_cell(task) for task in found if task.kind == "Exercise"]
    return [
        new_markdown_cell(nb.cells[0].source.splitlines()[0]),
        new_markdown_cell(text),
        new_code_cell(f"#| default_exp {module}"),
        new_code_cell(EMPTY),
        *asked,
    ]


def _exported(nb) -> str:
    """All that a notebook exports, as one text."""
    cells = [without_marks(c.source) for c in nb.cells if is_exported(c)]
    return "\n\n".join(cells)


def _check_cell(task):
    """The cell below a blank or a question."""
    if task.kind == "Question":
        call = f'check("{task.id}", ...)  # your answer in place of the dots'
        return new_code_cell(call)
    name = exercises.find(task.id).name
    return new_code_cell(
        f'check("{task.id}", {name})\n'
        f'# stuck? hint("{task.id}") or use_reference("{task.id}")'
    )


def lines_to_write(nb, way: Way) -> int:
    """Lines of code that the reader of a chapter writes in one of the ways."""
    every = _exported(nb)
    if way == "guided":
        marked = [c.source for c in nb.cells if is_exported(c)]
        return sum(code_lines(x) for cell in marked for x in solutions(cell))
    if way == "blank-page":
        given = emptied(every, module_name(nb))
        blanks = given.count("raise NotImplementedError(")
        return code_lines(every) - code_lines(given) + blanks
    return code_lines(every)


def code_lines(source: str) -> int:
    """Lines with code on them, without docstrings and comments."""
    kept, lines = [], set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in (*LAYOUT, tokenize.COMMENT):
            kept.append(token)
    ends = (tokenize.NEWLINE, tokenize.ENDMARKER)
    for i, token in enumerate(kept[:-1]):
        starts = i == 0 or kept[i - 1].type in ends
        alone = starts and kept[i + 1].type in ends
        is_docstring = alone and token.type == tokenize.STRING
        if token.type not in ends and not is_docstring:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines)
