"""The classroom edition: nbgrader makes, grades and exports it."""

import ast
import copy
import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from minigpt.__main__ import main
from minigpt.course import exercises, release
from minigpt.course.grading import mended
from minigpt.course.judge import reference
from minigpt.course.notebooks import (
    chapters,
    is_exported,
    module_name,
    read,
    write,
)
from minigpt.course.source import filled, pieces, tasks

ROOT = Path(__file__).parents[1]
SHORT = "05_position"  # the assignment that is handed in
CHAPTERS = [
    path.stem
    for path in chapters(ROOT)
    if module_name(read(path)) in exercises.modules()
]


@pytest.fixture(scope="session")
def course(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kurs") / "Grundkurs Ü"
    assert main(["course", "release", str(folder)]) == 0
    return folder


def nbgrader(folder, *arguments):
    """Run nbgrader as a teacher would, in the course's folder."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=folder, capture_output=True, encoding="utf-8", timeout=600,
        env=os.environ | {"PATH": path, "TQDM_DISABLE": "1"}, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def marks(nb):
    return [(c, c.metadata.nbgrader) for c in nb.cells]


@pytest.mark.parametrize("name", CHAPTERS)
def test_assignment_has_two_tests_for_every_exercise(course, name):
    source = read(course / "source" / name / f"{name}.ipynb")
    nbformat.validate(source)
    cells = marks(source)
    ids = [m["grade_id"] for _, m in cells]
    assert len(set(ids)) == len(ids)
    found = tasks(read(ROOT / "notebooks" / f"{name}.ipynb"))
    blanks = [t for t in found if t.code is not None]
    tests = {m["grade_id"]: (c, m) for c, m in cells if m["grade"]}
    assert len(tests) == 2 * len(blanks)
    for task in blanks:
        slug = task.id.replace(".", "-")
        (seen, points), (hidden, _) = (
            tests[f"{slug}-{kind}"] for kind in ("visible", "hidden")
        )
        assert points["points"] == task.difficulty
        assert "first=True" in seen.source and "HIDDEN" not in seen.source
        assert "### BEGIN HIDDEN TESTS" in hidden.source
    assert all(m["locked"] is not m["solution"] for _, m in cells)


def test_a_second_release_overwrites_nothing(course, capsys):
    before = (course / "source" / SHORT / f"{SHORT}.ipynb").read_bytes()
    assert main(["course", "release", str(course)]) == 2
    assert "is there already" in capsys.readouterr().err
    after = (course / "source" / SHORT / f"{SHORT}.ipynb").read_bytes()
    assert before == after


def run(code):
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, encoding="utf-8", timeout=200, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_what_is_graded_cannot_be_imported():
    said = run(
        "from minigpt.course.release import begin_graded\n"
        "import minigpt.bigram\n"
        "begin_graded('bigram', earlier=['tokenizer', 'data'])\n"
        "import minigpt.data\n"
        "for name in 'bigram', 'gpt', 'multihead':\n"
        "    try:\n"
        "        __import__(f'minigpt.{name}')\n"
        "    except ImportError as error:\n"
        "        print(error)\n"
    )
    for name in ("bigram", "gpt", "multihead"):
        assert f"minigpt.{name} is not there while bigram is graded" in said


@pytest.mark.parametrize("module", exercises.modules())
def test_a_check_imports_nothing_that_is_not_there_when_it_grades(module):
    order = [module_name(read(path)) for path in chapters(ROOT)]
    path = ROOT / "minigpt" / "course" / "exercises" / f"{module}.py"
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    names = {n.module for n in nodes if isinstance(n, ast.ImportFrom)}
    used = {n.removeprefix("minigpt.") for n in names} & set(order)
    earlier = order[: order.index(module)] if module in order else order
    assert used <= set(earlier)


def right(word, pair):
    out, i = [], 0
    while i < len(word):
        n = 2 if tuple(word[i : i + 2]) == tuple(pair) else 1
        out.append(word[i] if n == 1 else pair[0] + pair[1])
        i += n
    return tuple(out)


def constants(word, pair):
    return ("th", "a", "t")


def test_constants_pass_what_is_seen_and_fail_what_is_hidden(capsys):
    id = "tokenizer.merge"
    release.graded(id, right, first=True)
    release.graded(id, right, seed=99)
    release.graded(id, constants, first=True)
    said = capsys.readouterr().out
    assert said.count("tokenizer.merge: passed") == 2
    with pytest.raises(
        release.NotRight, match="nothing was merged|does not hold"
    ):
        release.graded(id, constants, seed=99)


@pytest.mark.slow
def test_every_assignment_is_generated_without_solutions(course):
    for name in CHAPTERS:
        code, said = nbgrader(course, "generate_assignment", name, "--force")
        assert code == 0, said[-2000:]
        nb = read(course / "release" / name / f"{name}.ipynb")
        text = "\n".join(c.source for c in nb.cells)
        assert "SOLUTION" not in text and "HIDDEN" not in text
        assert not re.search(r"graded\(.*seed=", text)
        source = read(ROOT / "notebooks" / f"{name}.ipynb")
        shown, hidden = set(), set()
        for cell in source.cells:
            for solved, _, lines in pieces(cell.source):
                (hidden if solved else shown).update(x.strip() for x in lines)
        lines = {x.strip() for x in text.splitlines()}
        assert not {x for x in hidden - shown if len(x) > 12} & lines


@pytest.mark.slow
@pytest.mark.parametrize("name", CHAPTERS)
def test_an_assignment_passes_its_tests_with_the_solutions(course, name):
    path = course / "source" / name / f"{name}.ipynb"
    code, said = nbgrader(course, "validate", str(path))
    assert code == 0, said[-2000:]
    assert "Success! Your notebook passes all the tests." in said, said[-2000:]


def answered(blank, source, answers):
    """A released notebook with cells of the source, or others, filled in."""
    nb = read(blank)
    by_id = {m["grade_id"]: c.source for c, m in marks(source)}
    for cell, mark in marks(nb):
        if mark["solution"]:
            given = answers(by_id[mark["grade_id"]], cell.source)
            cell.source = given
    return nb


def whole(solved, blank):
    return filled(solved, [None] * 9)


def half(solved, blank):
    return blank if "class Sinusoidal" in solved else whole(solved, blank)


def constant(solved, blank):
    """What the visible test of the sines wants, and nothing else."""
    if "class Sinusoidal" not in solved:
        return whole(solved, blank)
    sines = exercises.find("position.sinusoidal")
    table = reference(sines, sines.cases[0], seed=1).value.tolist()
    return filled(solved, [f"self.table = torch.tensor({table})", None])


def endless(solved, blank):
    if "class Sinusoidal" not in solved:
        return whole(solved, blank)
    return filled(solved, ["while True:\n    pass", None])


def imported(solved, blank):
    for name in ("token_positions", "SinusoidalPosition"):
        if f" {name}(" in solved:
            return f"from minigpt.position import {name}"
    return whole(solved, blank)


WAYS = {  # student -> how the blanks are filled, points of 8
    "right": (whole, 8),
    "half": (half, 4),
    "constant": (constant, 6),
    "endless": (endless, 4),
    "imported": (imported, 0),
}


def scores(folder):
    """Student -> points of the assignment, as nbgrader exports them."""
    code, said = nbgrader(folder, "export", "--to", "grades.csv")
    assert code == 0, said[-2000:]
    with open(folder / "grades.csv", encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["assignment"] == SHORT]
    assert {float(row["max_score"]) for row in rows} == {8.0}
    return {row["student_id"]: float(row["raw_score"]) for row in rows}


@pytest.fixture
def classroom(course, tmp_path):
    """A class of its own, and hand_in(student, notebook)."""
    folder = Path(shutil.copytree(course, tmp_path / "Kurs"))
    code, said = nbgrader(folder, "generate_assignment", SHORT, "--force")
    assert code == 0, said[-2000:]

    def hand_in(student, nb):
        write(nb, folder / "submitted" / student / SHORT / f"{SHORT}.ipynb")

    return folder, hand_in


def handed_in(folder, fill):
    """The assignment of a class, filled in by a student."""
    blank = folder / "release" / SHORT / f"{SHORT}.ipynb"
    source = read(folder / "source" / SHORT / f"{SHORT}.ipynb")
    return answered(blank, source, fill)


@pytest.mark.slow
def test_one_assignment_handed_in_five_ways_gets_its_points(classroom):
    folder, hand_in = classroom
    for student, (fill, _) in WAYS.items():
        hand_in(student, handed_in(folder, fill))
    code, said = nbgrader(folder, "autograde", SHORT)
    assert code == 0, said[-3000:]
    assert scores(folder) == {s: points for s, (_, points) in WAYS.items()}


# ---- damaged submissions

CELLS = read(ROOT / "notebooks" / f"{SHORT}.ipynb").cells
FIRST, SECOND = (  # the cells with blanks
    f"position-{place}"
    for text in ("def token_positions(", "class SinusoidalPosition(")
    for place, cell in enumerate(CELLS)
    if is_exported(cell) and text in cell.source
)
TEST = "position-token_positions-hidden"


def at(nb, grade_id):
    [*places] = [i for i, (_, m) in enumerate(marks(nb))
                 if m.get("grade_id") == grade_id]  # fmt: skip
    return places[0]


def copied(nb):
    """An answer cell twice, as JupyterLab copies it."""
    place = at(nb, FIRST)
    nb.cells.insert(place, copy.deepcopy(nb.cells[place]))


def split(nb):
    """An answer cell in two, as JupyterLab splits it: neither is Python."""
    place = at(nb, SECOND)
    other = copy.deepcopy(nb.cells[place])
    lines = other.source.splitlines()
    half = lines.index("        super().__init__()")
    nb.cells[place].source = "\n".join(lines[:half])
    other.source = "\n".join(lines[half:])
    nb.cells.insert(place + 1, other)


def without_a_test(nb):
    del nb.cells[at(nb, TEST)]


def without_the_first_cells(nb):
    del nb.cells[:3]


def as_text(nb):
    """An answer cell that became a markdown cell."""
    place = at(nb, FIRST)
    cell = nbformat.v4.new_markdown_cell(nb.cells[place].source)
    cell.metadata = nb.cells[place].metadata
    nb.cells[place] = cell


def in_disorder(nb):
    """An answer below its tests."""
    cell = nb.cells.pop(at(nb, FIRST))
    nb.cells.insert(at(nb, TEST) + 1, cell)


def ends_the_kernel(nb):
    """An answer that ends the process that grades it: 4 of 8 points."""
    cell = nb.cells[at(nb, SECOND)]
    cell.source = cell.source.replace(
        "super().__init__()", "import os; os._exit(0)"
    )


DAMAGES = [copied, split, without_a_test, without_the_first_cells, as_text,
           in_disorder]  # fmt: skip


@pytest.fixture
def released(course):
    """An assignment as it is handed out, and as it is solved."""
    blank = read(course / "source" / SHORT / f"{SHORT}.ipynb")
    for cell, mark in marks(blank):
        if mark["solution"]:
            cell.source = filled(cell.source, ["raise NotImplementedError"] * 2)
    return blank


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_submission_is_mended_and_told(course, released, damage):
    path = course / "source" / SHORT / f"{SHORT}.ipynb"
    solved = answered(path, read(path), whole)
    submission = copy.deepcopy(solved)
    damage(submission)
    nb, changes = mended(submission, released)
    nbformat.validate(nb)
    made = [c for c in nb.cells if "nbgrader" in c.metadata]
    assert [(c.source, c.metadata.nbgrader) for c in made] == [
        (cell.source, mark) for cell, mark in marks(solved)
    ]
    assert changes and mended(nb, released) == (nb, [])


def test_an_untouched_copy_of_the_blank_is_no_answer(released):
    nb = copy.deepcopy(released)
    place = at(nb, FIRST)
    nb.cells.append(copy.deepcopy(nb.cells[place]))
    nb.cells[place].source = "def token_positions(): ..."
    added = nbformat.v4.new_code_cell("helper = 1")
    nb.cells.insert(place + 1, added)
    made, _ = mended(nb, released)
    sources = [cell.source for cell in made.cells]
    place = sources.index("def token_positions(): ...")
    assert sources[place + 1] == "helper = 1"
    assert len(sources) == len(released.cells) + 1


def test_grading_goes_on_after_a_damaged_submission(classroom):
    folder, hand_in = classroom
    damaged = handed_in(folder, whole)
    for damage in (copied, without_a_test, ends_the_kernel):
        damage(damaged)
    hand_in("anna", damaged)
    hand_in("bo", handed_in(folder, whole))
    code, said = nbgrader(folder, "autograde", SHORT)
    assert code == 0, said[-3000:]
    assert f"Repaired for anna: {TEST} was deleted" in said
    assert "Repaired for bo" not in said
    assert scores(folder) == {"anna": 4, "bo": 8}


@pytest.mark.slow
def test_a_class_with_six_damaged_submissions_is_graded_whole(classroom):
    folder, hand_in = classroom
    damages = [*DAMAGES[:5], ends_the_kernel]
    for number in range(26):
        nb = handed_in(folder, whole)
        if number % 4 == 1 and damages:
            damages.pop(0)(nb)
        hand_in(f"student{number:02}", nb)
    broken = folder / "submitted" / "zoe" / SHORT / f"{SHORT}.ipynb"
    broken.parent.mkdir(parents=True)
    broken.write_text("{")
    code, said = nbgrader(folder, "autograde", SHORT)
    assert code == 1 and "for student 'zoe'" in said[-3000:]
    expected = {f"student{number:02}": 8 for number in range(26)}
    assert scores(folder) == expected | {"student21": 4, "zoe": 0}
