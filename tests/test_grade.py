"""Submissions graded without nbgrader: points, causes, and no way out."""

import csv
import json
from pathlib import Path

import pytest

from minigpt.__main__ import main
from minigpt.course import edition
from minigpt.course.notebooks import read, without_marks, write

ROOT = Path(__file__).parents[1]
NAME = "06_multihead.ipynb"
RIGHT = "return x.view(B, T, n_head, C // n_head).transpose(1, 2)"


def solved():
    nb = read(ROOT / "notebooks" / NAME)
    for cell in nb.cells:
        cell.source = without_marks(cell.source)
    return nb


def changed(old, new):
    nb = solved()
    [cell] = [
        c for c in nb.cells if old in c.source and "#| export" in c.source
    ]
    cell.source = cell.source.replace(old, new)
    return nb


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """student -> exercise -> (points, of, cause), and the folder."""
    folder = tmp_path_factory.mktemp("a class")
    handed_in = {
        "right": solved(),
        "mixed up": changed(RIGHT, "return x.view(B, n_head, T, C // n_head)"),
        "never ends": changed(RIGHT, "while True: pass"),
        "leaves": changed(RIGHT, "import os; os._exit(3)"),
        "blank": edition.learner_notebook(read(ROOT / "notebooks" / NAME)),
        "borrowed": changed(
            RIGHT,
            "from minigpt.multihead import split_heads as theirs\n"
            "    return theirs(x, n_head)",
        ),
        "broken": changed("return self.dropout(y)", "return self.dropout(y"),
    }
    for student, nb in handed_in.items():
        write(nb, folder / "in" / student / NAME)
    (folder / "in" / "no notebook.ipynb").write_text("{}")
    arguments = [str(folder / "in"), "--out", str(folder / "out")]
    assert main(["course", "grade", *arguments, "--seed", "5"]) == 0
    table = {}
    with open(folder / "out" / "grades.csv", newline="") as file:
        for line in csv.DictReader(file):
            row = int(line["points"]), int(line["of"]), line["cause"]
            table.setdefault(line["student"], {})[line["exercise"]] = row
    return table, folder / "out"


@pytest.mark.parametrize(
    "student, points, said",
    [
        ("right", 4, ""),
        ("mixed up", 0, "mixes tokens"),
        ("never ends", 0, "never ends"),
        ("blank", 0, "still there"),
        ("borrowed", 0, "ImportError"),
    ],
)
def test_an_answer_gets_its_points_and_its_cause(graded, student, points, said):
    got, of, cause = graded[0][student]["multihead.split"]
    assert (got, of) == (points, 4) and said in cause
    if points or student in ("mixed up", "never ends", "borrowed"):
        assert graded[0][student]["multihead.join"] == (2, 2, "")


def test_what_ends_the_process_costs_only_this_notebook(graded):
    assert "grading ended" in graded[0]["leaves"]["all"][2]
    assert "not a notebook" in graded[0]["no notebook"]["all"][2]


def test_a_cell_that_is_not_python_is_told(graded):
    assert "not Python" in graded[0]["broken"]["multihead.layer"][2]
    assert graded[0]["broken"]["multihead.split"][0] == 4


def test_reports_and_results_say_the_same(graded):
    table, out = graded
    results = json.loads((out / "mixed up" / "results.json").read_text())
    lines = table["mixed up"]
    assert results["score"] == sum(points for points, _, _ in lines.values())
    assert {x["name"].split(": ")[1]: x["score"] for x in results["tests"]} == {
        id: points for id, (points, _, _) in lines.items()
    }
    report = (out / "mixed up" / "report.md").read_text()
    assert "mixes tokens" in report and "✗ `multihead.split`: 0 of 4" in report


NUMBER, TEXT = {"type": "number"}, {"type": "string"}
GRADESCOPE = {  # what its documentation asks of results.json
    "type": "object",
    "required": ["score", "tests"],
    "properties": {
        "score": NUMBER,
        "tests": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "name": TEXT,
                    "score": NUMBER,
                    "max_score": NUMBER,
                    "status": {"enum": ["passed", "failed"]},
                    "output": TEXT,
                },
                "required": ["name", "score", "max_score"],
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}


def test_results_have_the_format_of_gradescope(graded):
    jsonschema = pytest.importorskip("jsonschema")
    for path in graded[1].glob("*/results.json"):
        jsonschema.validate(json.loads(path.read_text()), GRADESCOPE)


def test_an_empty_folder_is_told(tmp_path, capsys):
    assert main(["course", "grade", str(tmp_path)]) == 2
    assert "no notebooks to grade" in capsys.readouterr().err
