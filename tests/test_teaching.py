"""What book/teaching.md promises: settings and commands."""

import csv
import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import tyro
from test_release import answered, whole
from traitlets.config import PyFileConfigLoader

from minigpt.__main__ import Command, main
from minigpt.course import exercises
from minigpt.course.notebooks import chapters, read, write
from minigpt.course.source import filled, tasks

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "book" / "teaching.md").read_text(encoding="utf-8")
SHORT = "05_position"


def section(title):
    """The text below a heading, down to the next of its level."""
    level = len(title.split()[0])
    end = rf"^#{{1,{level}}} |\Z"
    pattern = rf"^{re.escape(title)}\n(.*?)(?={end})"
    return re.search(pattern, PAGE, re.M | re.S)[1]


def blocks(language, text=PAGE):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def test_every_command_of_the_course_exists():
    lines = "\n".join(
        x.strip() for b in PAGE.split("```") for x in b.split("\n")
    )
    said = re.findall(r"^python -m minigpt (.+)$", lines, re.M)
    assert len(said) > 6
    for line in said:
        tyro.cli(
            tyro.conf.OmitArgPrefixes[Command], args=shlex.split(line)
        )  # leaves the test with an error where there is none


def settings(text, tmp_path):
    """A configuration as nbgrader and JupyterHub load it."""
    (tmp_path / "config.py").write_text(text, encoding="utf-8")
    return PyFileConfigLoader("config.py", path=str(tmp_path)).load_config()


def test_the_settings_are_loaded_and_known(tmp_path):
    from nbgrader.apps.nbgraderapp import NbGraderApp
    from nbgrader.exchange.default import Exchange

    hub, classroom = blocks("python")
    found = settings(classroom, tmp_path)
    every = {
        kind
        for made in [*NbGraderApp().all_configurable_classes(), Exchange]
        for kind in made.mro()
        if hasattr(kind, "class_traits")
    }
    for name, values in found.items():
        named = [kind for kind in every if kind.__name__ == name]
        for trait, value in values.items():
            [*have] = [k for k in named if trait in k.class_traits()]
            assert have, f"{name}.{trait}"
            assert have[0].class_traits()[trait].validate(None, value) == value
    assert found.CourseDirectory.course_id == "minigpt"
    hub = settings(hub, tmp_path)
    assert hub.Spawner.environment["OMP_NUM_THREADS"] == "1"
    assert set(hub) == {"Spawner", "Authenticator"}


def tools(tmp_path, **more):
    """The environment of a teacher who has activated theirs."""
    bin = f"{tmp_path / 'bin'}{os.pathsep}{Path(sys.executable).parent}"
    return os.environ | {
        "PATH": f"{bin}{os.pathsep}{os.environ['PATH']}",
        "TQDM_DISABLE": "1",
        **{name: str(value) for name, value in more.items()},
    }


def run(command, folder, env):
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, encoding="utf-8",
        timeout=1200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout + done.stderr


def scores(path):
    with open(path, encoding="utf-8") as file:
        return {
            row["student_id"]: float(row["raw_score"])
            for row in csv.DictReader(file)
            if row["assignment"] == SHORT
        }


def half(solved, _):
    """All but the sines, which are worth 4 of 8 points."""
    if "class Sinusoidal" not in solved:
        return whole(solved, _)
    return filled(
        solved, ["raise NotImplementedError"] * solved.count("### BEGIN")
    )


def classroom(tmp_path):
    """A released course, its source and blank notebook."""
    folder = tmp_path / "minigpt-class"
    command = ["course", "release", str(folder), "--chapters", "05"]
    assert main(command) == 0
    return folder, read(folder / "source" / SHORT / f"{SHORT}.ipynb")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no exchange on Windows")
def test_the_exchange_goes_as_the_page_says(tmp_path):
    text = section("## Thirty people on JupyterHub")
    orders = [
        [x for x in block.splitlines() if x.startswith("nbgrader ")]
        for block in blocks("bash", text)
    ]
    first, student, last = filter(None, orders)
    exchange = tmp_path / "exchange"
    exchange.mkdir()
    exchange.chmod(0o777)
    config = blocks("python", text)[1]
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "nbgrader_config.py").write_text(
        config.replace("/srv/nbgrader/exchange", str(exchange))
    )
    env = tools(tmp_path, JUPYTER_CONFIG_PATH=tmp_path / "etc",
                JUPYTER_DATA_DIR=tmp_path / "data")  # fmt: skip
    folder, source = classroom(tmp_path)
    for line in first:
        run(shlex.split(line), folder, env)
    home = tmp_path / "home"
    home.mkdir()
    for line in student:
        said = run(shlex.split(line), home, env)
        fetched = home / SHORT / f"{SHORT}.ipynb"
        if "fetch" in line:
            write(answered(fetched, source, half), fetched)
    assert "Submitted as: minigpt 05_position" in said
    for line in last:
        run(shlex.split(line), folder, env)
    assert list(scores(folder / "grades.csv").values()) == [4.0]
    assert list(exchange.glob("minigpt/feedback/*.html"))


DOCKER = """\
#!{python}
import subprocess, sys

words = sys.argv[1:]
assert words[0] == "run" and words[words.index("--network") + 1] == "none"
at = words.index("minigpt-grader")
box, inside = words[words.index("--volume") + 1].split(":")
assert inside == "/course"
sys.exit(subprocess.run(words[at + 1:], cwd=box).returncode)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a script for Linux")
def test_each_notebook_is_graded_in_a_box_of_its_own(tmp_path):
    folder, source = classroom(tmp_path)
    blank = folder / "source" / SHORT / f"{SHORT}.ipynb"
    for student, fill in {"anna": whole, "bo": half}.items():
        target = folder / "submitted" / student / SHORT / f"{SHORT}.ipynb"
        write(answered(blank, source, fill), target)
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER.format(python=sys.executable))
    docker.chmod(docker.stat().st_mode | stat.S_IXUSR)
    [script] = blocks("bash", section("## nbgrader is no sandbox"))
    run(["bash", "-euc", script], folder, tools(tmp_path))
    assert scores(folder / "grades" / "anna.csv") == {"anna": 8.0}
    assert scores(folder / "grades" / "bo.csv") == {"bo": 4.0}
    assert not (folder / "gradebook.db").exists()


def test_the_plan_by_week_counts_what_the_notebooks_say():
    total = [0, 0, 0]
    for path in chapters(ROOT)[1:12]:
        nb, number = read(path), int(path.name[:2])
        found = tasks(nb)
        card = "\n".join(cell.source for cell in nb.cells[:4])
        row = [
            int(re.search(r"(\d+) minutes to read", card)[1]),
            sum(task.minutes for task in found),
            sum(2 * t.difficulty for t in found if t.kind == "Exercise"),
        ]
        pattern = (
            rf"^\| {number} \| \[{number}\. .* \| (.*) \| (.*) \| (.*) \|$"
        )
        stated = re.search(pattern, PAGE, re.M)
        assert [int(x) for x in stated.groups()] == row, path.name
        total = [a + b for a, b in zip(total, row, strict=True)]
    assert "| 1–11 | all | {} | {} | {} |".format(*total) in PAGE


def test_each_session_has_ninety_minutes_and_exercises_that_exist():
    weeks = re.split(r"^### Week \d+.*$", PAGE, flags=re.M)[1:]
    for number, week in enumerate(weeks, 1):
        week = week.split("\n## ")[0]
        minutes = re.findall(r"^\| (\d+) \|", week, re.M)
        assert sum(map(int, minutes)) == 90, number
        for id in re.findall(r"`([a-z0-9_]+\.[a-z0-9_-]+)`", week):
            assert exercises.find(id)
