"""Grades a folder of submissions: a table, and a report for each student.

Every notebook has a process of its own, with a limit on its time. Of its cells
only those run that define something, and each answer is checked twice, with the
numbers that students see and with others.
"""

import ast
import csv
import io
import json
import random
import subprocess
import sys
from pathlib import Path

from tqdm import tqdm

from minigpt.course import exercises
from minigpt.course.check import REFERENCE, check
from minigpt.course.judge import put
from minigpt.course.notebooks import (
    CourseError,
    chapters,
    is_exported,
    module_name,
    read,
    replace_text,
    syntax_error,
)
from minigpt.course.release import begin_graded
from minigpt.course.source import tasks

SECONDS = 8.0  # for one case of an answer
MINUTES = 10  # for one notebook
COLUMNS = ("student", "notebook", "exercise", "points", "of", "cause")


def grade(folder: Path, out: Path, seed: int | None = None) -> list[dict]:
    """Grade `folder/STUDENT/….ipynb` (or `folder/STUDENT.ipynb`) into `out`.

    Writes grades.csv and, for each student, a report to read and a
    results.json for Gradescope. Gives the lines of the table.

    Raises:
        CourseError: there is no notebook.
    """
    found = sorted(
        path
        for path in folder.rglob("*.ipynb")
        if ".ipynb_checkpoints" not in path.parts
    )
    if not found:
        raise CourseError(f"{folder} holds no notebooks to grade")
    seed = seed or random.SystemRandom().randrange(2, 10**6)
    lines = []
    for path in tqdm(found, desc="notebooks", leave=False, disable=None):
        student = path.relative_to(folder).parts[0].removesuffix(".ipynb")
        who = {"student": student, "notebook": path.name}
        lines += [who | line for line in _in_a_process(path, seed)]
    _write(lines, out)
    return lines


def _in_a_process(path: Path, seed: int) -> list[dict]:
    """The lines for one notebook, whatever it does."""
    command = [sys.executable, "-m", __name__, str(path), str(seed)]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=60 * MINUTES, check=False
        )
        return json.loads(done.stdout.decode().splitlines()[-1])
    except subprocess.TimeoutExpired:
        cause = f"still running after {MINUTES} minutes"
    except (ValueError, IndexError):
        said = done.stderr.decode(errors="replace").strip().splitlines()
        cause = f"grading ended: {(said or ['no word'])[-1]}"
    return [_line("all", 0, 0, cause)]


def _line(id, points, of, cause="") -> dict:
    return {"exercise": id, "points": points, "of": of, "cause": cause}


def grade_notebook(path: Path, seed: int) -> list[dict]:
    """A line for each exercise and question of a chapter."""
    nb = read(path)
    course = {module_name(x): x for x in map(read, chapters(REFERENCE.parent))}
    module = module_name(nb)
    if module not in exercises.modules():
        return [_line("all", 0, 0, "no cell says '#| default_exp MODULE'")]
    order = [name for name in course if name]
    begin_graded(module, order[: order.index(module)])
    cells = [c.source for c in nb.cells if c.cell_type == "code"]
    wrong = [error for cell in cells if (error := syntax_error(cell))]
    names = vars(sys.modules["__main__"])
    names["In"] = [c.source for c in nb.cells if is_exported(c)]
    _define([x for x in cells if not syntax_error(x)], names)
    lines = []
    for task in tasks(course[module]):
        entry = exercises.find(task.id)
        if task.kind == "Question":
            results = [check(task.id, _given(cells, task.id))]
        else:
            answer = names.get(entry.name)
            results = [
                check(task.id, answer, seconds=SECONDS, seed=s)
                for s in (1, seed)
            ]
        passed = [r.status == "passed" for r in results]
        cause = "" if all(passed) else results[passed.index(False)].cause
        if wrong and not all(passed):
            cause += f" (a cell is not Python: {wrong[0]})"
        points = task.difficulty * sum(passed)
        of = task.difficulty * len(results)
        lines.append(_line(task.id, points, of, cause))
    return lines


def _define(cells: list[str], names: dict) -> None:
    """Run the imports and definitions in some cells, whatever they raise."""
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    for number, cell in enumerate(cells):
        for node in ast.parse(cell).body:
            is_constant = isinstance(node, ast.Assign) and "#| export" in cell
            if isinstance(node, kinds) or is_constant:
                text = ast.get_source_segment(cell, node)
                decorators = getattr(node, "decorator_list", [])
                above = [f"@{ast.unparse(x)}\n" for x in decorators]
                try:
                    file = f"<cell {number}, line {node.lineno}>"
                    put("".join(above) + text, file, names)
                except BaseException as error:  # the check says what lacks
                    print(f"cell {number}: {error}", file=sys.stderr)


def _given(cells: list[str], id: str):
    """What stands in a cell `check("id", …)`; an ellipsis where nothing does."""
    for cell in cells:
        for node in ast.walk(ast.parse("" if syntax_error(cell) else cell)):
            if isinstance(node, ast.Call) and len(node.args) == 2:
                try:
                    asked, answer = map(ast.literal_eval, node.args)
                except ValueError:
                    continue
                if asked == id:
                    return answer
    return ...


def _write(lines: list[dict], out: Path) -> None:
    """The table, and what each student gets."""
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, COLUMNS)
    writer.writeheader()
    writer.writerows(lines)
    replace_text(out / "grades.csv", table.getvalue())
    for student in dict.fromkeys(line["student"] for line in lines):
        own = [line for line in lines if line["student"] == student]
        replace_text(out / student / "report.md", _report(student, own))
        results = json.dumps(_results(own), indent=1) + "\n"
        replace_text(out / student / "results.json", results)


def _report(student: str, lines: list[dict]) -> str:
    """What a student reads."""
    points, of = (sum(x[k] for x in lines) for k in ("points", "of"))
    text = [f"# {student}: {points} of {of} points", ""]
    for line in lines:
        mark = "✓" if line["points"] == line["of"] else "✗"
        text.append(
            f"- {mark} `{line['exercise']}`: {line['points']} of {line['of']}"
        )
        text += [f"  {line['cause']}"] if line["cause"] else []
    return "\n".join(text) + "\n"


def _results(lines: list[dict]) -> dict:
    """The same in the format that Gradescope reads."""
    return {
        "score": sum(line["points"] for line in lines),
        "tests": [
            {
                "name": f"{line['notebook']}: {line['exercise']}",
                "score": line["points"],
                "max_score": line["of"],
                "status": "failed" if line["cause"] else "passed",
                "output": line["cause"] or "right",
            }
            for line in lines
        ],
    }


if __name__ == "__main__":
    print(json.dumps(grade_notebook(Path(sys.argv[1]), int(sys.argv[2]))))
