"""Exporting and running notebooks."""

import json
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from minigpt.__main__ import main
from minigpt.course.execute import execute, tidy
from minigpt.course.export import HEADER, export, module_source
from minigpt.course.notebooks import (
    BESIDE,
    CourseError,
    chapters,
    find_root,
)

ROOT = Path(__file__).parents[1]


@pytest.fixture
def course(tmp_path):
    """A course of one chapter that exports one function."""
    (tmp_path / "minigpt").mkdir()
    (tmp_path / "notebooks").mkdir()
    write(
        tmp_path,
        "#| default_exp one\n#| export\nimport math",
        "#| export\ndef f(x):\n    ### BEGIN SOLUTION\n"
        "    return math.pi*x\n    ### END SOLUTION",
        "f(1)",
    )
    return tmp_path


def write(course, *sources):
    cells = [new_markdown_cell("# 1. One\n\n> The first thing.")]
    cells += [new_code_cell(source) for source in sources]
    path = course / "notebooks" / "01_one.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    return path


@pytest.mark.parametrize("path", chapters(ROOT), ids=lambda p: p.stem)
def test_module_is_what_its_notebook_exports(path):
    made = module_source(path)
    if made is None:
        return
    name, source = made
    stored = (ROOT / "minigpt" / f"{name}.py").read_bytes().decode()
    assert stored.replace("\r\n", "\n") == source, (
        f"minigpt/{name}.py was edited by hand, or the export is old: "
        f"python -m minigpt course export {path.name[:2]}"
    )


def test_no_module_is_an_orphan():
    made = {m[0] for m in map(module_source, chapters(ROOT)) if m}
    there = {p.stem for p in (ROOT / "minigpt").glob("*.py")}
    assert there - {"__init__", "__main__", *BESIDE} == made


def test_export_writes_a_clean_module_once(course):
    [(path, changed)] = export(course)
    text = path.read_text()
    assert changed and text.startswith('"""The first thing."""\n')
    assert HEADER + "../notebooks/01_one.ipynb" in text
    assert "return math.pi * x" in text, "formatted by ruff"
    assert "SOLUTION" not in text and "#|" not in text and "f(1)" not in text
    assert str(course) not in text
    assert export(course) == [(path, False)], "a second export changes nothing"


def test_export_names_the_cell_that_is_not_python(course):
    [(path, _)] = export(course)
    before = path.read_text()
    write(course, "#| default_exp one\n#| export\nx = 1", "#| export\nx = = 2")
    with pytest.raises(CourseError, match=r"01_one.ipynb, cell 3.*line 2.*= ="):
        export(course)
    assert path.read_text() == before


def test_export_without_a_module_name_says_so(course):
    write(course, "#| export\nx = 1")
    with pytest.raises(CourseError, match="cell 2.*default_exp"):
        export(course)


def test_run_stores_outputs_and_only_lasting_metadata(course):
    path = write(course, "import sys", "print('no', file=sys.stderr)\n6 * 7")
    execute(course, ("1",))
    nb = nbformat.read(path, as_version=4)
    assert [c.get("execution_count") for c in nb.cells] == [None, 1, 2]
    [output] = nb.cells[2].outputs
    assert output.data["text/plain"] == "42"
    assert set(nb.metadata) == {"kernelspec", "language_info"}
    assert "version" not in nb.metadata.language_info
    assert all(not c.metadata for c in nb.cells)


def test_run_names_the_cell_that_failed_in_a_stored_notebook(course):
    path = write(course, "1 / 0", "x = 1")
    nb = nbformat.read(path, as_version=4)
    nb.cells[1].execution_count, nb.cells[2].execution_count = 1, 2
    nbformat.write(nb, path)
    with pytest.raises(CourseError, match=r"01_one.ipynb, cell 2 failed"):
        execute(course)


def test_run_leaves_the_file_when_a_cell_fails(course):
    path = write(course, "x = 1", "y = [1, 2][x + 5]")
    before = path.read_bytes()
    with pytest.raises(CourseError, match=r"01_one.ipynb, cell 3 failed"):
        execute(course)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def widget_notebook(model, layout):
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": model}}
    cell = new_code_cell("w", execution_count=1)
    cell.outputs = [
        nbformat.v4.new_output("execute_result", view, execution_count=1)
    ]
    nb = new_notebook(cells=[cell])
    state = {
        "unseen": {"state": {}},
        layout: {"state": {}},
        model: {"state": {"layout": f"IPY_MODEL_{layout}"}},
    }
    nb.metadata["widgets"] = {
        "application/vnd.jupyter.widget-state+json": {"state": state}
    }
    return nb


def test_widget_models_are_named_by_their_place():
    first = json.dumps(tidy(widget_notebook("abc123", "def456")))
    again = json.dumps(tidy(widget_notebook("777aaa", "888bbb")))
    assert "unseen" not in first and "IPY_MODEL_" + "0" * 31 + "2" in first
    strip = [json.loads(x) for x in (first, again)]
    for nb in strip:
        nb["cells"][0].pop("id")
    assert strip[0] == strip[1]


def test_chapters_are_found_by_number():
    assert chapters(ROOT, ("3",)) == chapters(ROOT, ("03",))
    with pytest.raises(CourseError, match="no chapter '77'.*expected one of"):
        chapters(ROOT, ("77",))


def test_a_folder_that_is_no_course_is_refused(tmp_path):
    with pytest.raises(CourseError, match="not inside the course"):
        find_root(tmp_path)
    assert find_root(ROOT / "notebooks" / "results") == ROOT


def test_the_command_line_exports(course, capsys):
    assert main(["course", "export", "--root", str(course)]) == 0
    assert "wrote     one.py" in capsys.readouterr().out
    assert main(["course", "export", "5", "--root", str(course)]) == 2
    assert "error: no chapter '5'" in capsys.readouterr().err


def test_the_command_line_explains_itself(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "course" in text and "doctor" in text


def test_what_a_cell_printed_is_stored_in_one_piece():
    cell = new_code_cell("x")
    cell.outputs = [
        nbformat.v4.new_output("stream", name=name, text=text)
        for name, text in [("stdout", "a"), ("stderr", "!"), ("stdout", "b")]
    ]
    [output] = tidy(new_notebook(cells=[cell])).cells[0].outputs
    assert output.text == "ab"
