"""`minigpt learn`: your own copy of the course, opened where you left it."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from minigpt.course import edition
from minigpt.course.cli import Way
from minigpt.course.notebooks import CourseError, chapters, read
from minigpt.course.progress import load_progress, standing
from minigpt.course.ways import lines_to_write

WELCOME = """\
Your course is in "{folder}": notebooks to work in, and your own minigpt.
In all chapters together you write {lines} lines of code.
JupyterLab opens {chapter}. Run cells with Shift+Enter; Ctrl-C here ends it.
When a chapter is done, in that folder: python -m minigpt course export {number}"""


def learn(folder: Path | None, way: Way | None, jupyter_options: list[str]):
    """Make the edition or continue with it, and open JupyterLab there.

    Without a folder: the edition that this is run in, or else `my-gpt`.

    Raises:
        CourseError: JupyterLab is not installed, or the folder is taken.
    """
    if find_spec("jupyterlab") is None:
        raise CourseError(
            "JupyterLab is not installed: pip install -r requirements.txt"
        )
    folder = folder or edition.find_edition() or Path("my-gpt")
    course = edition.course_of(folder)
    edition.start(course, folder, way)
    chapter = next_chapter(folder)
    number = max(chapter.name[:2], "01")  # the welcome page has no module
    way = load_progress(folder)["way"]
    lines = sum(lines_to_write(read(path), way) for path in chapters(course))
    print(
        WELCOME.format(
            folder=folder, lines=lines, chapter=chapter.name, number=number
        ),
        flush=True,
    )
    command = [sys.executable, "-m", "jupyter", "lab", chapter.name]
    try:
        return subprocess.call([*command, *jupyter_options], cwd=folder)
    except KeyboardInterrupt:  # Ctrl-C went to JupyterLab, which has ended
        return 0


def next_chapter(folder: Path) -> Path:
    """Where the learner was: the last chapter with an answer, or a later one.

    A chapter is left when every exercise in it is passed.
    """
    progress = load_progress(folder)
    every = edition.notebooks(folder)
    states = [set(standing(read(path), progress).values()) for path in every]
    begun = [i for i, have in enumerate(states) if have - {"open"}]
    if not begun:
        return every[0]
    for i in range(begun[-1], len(every)):
        if states[i] - {"passed", "reference"}:
            return every[i]
    return every[-1]
