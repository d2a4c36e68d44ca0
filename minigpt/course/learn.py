"""`minigpt learn`: your own copy of the course, opened where you left it."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from minigpt.course import edition
from minigpt.course.notebooks import CourseError, read

WELCOME = """\
Your course is in {folder}: notebooks with blanks to fill, and your own minigpt.
JupyterLab opens {chapter}. Run cells with Shift+Enter; Ctrl-C here ends it.
When a chapter is done: python -m minigpt course export {number} (in {folder})"""


def learn(folder: Path, jupyter_options: list[str]) -> int:
    """Make the edition or continue with it, and open JupyterLab there.

    Raises:
        CourseError: JupyterLab is not installed, or the folder is taken.
    """
    if find_spec("jupyterlab") is None:
        raise CourseError(
            "JupyterLab is not installed: pip install -r requirements.txt"
        )
    edition.start(edition.course_of(folder), folder)
    chapter = next_chapter(folder)
    print(
        WELCOME.format(
            folder=folder, chapter=chapter.name, number=chapter.name[:2]
        ),
        flush=True,
    )
    command = [sys.executable, "-m", "jupyter", "lab", chapter.name]
    try:
        return subprocess.call([*command, *jupyter_options], cwd=folder)
    except KeyboardInterrupt:  # Ctrl-C went to JupyterLab, which has ended
        return 0


def next_chapter(folder: Path) -> Path:
    """The first chapter with an exercise that is open, or the welcome page."""
    progress, done = edition.load_progress(folder), 0
    found = edition.notebooks(folder)
    for path in found:
        states = edition.standing(read(path), progress).values()
        done += sum(state != "open" for state in states)
        if any(state not in ("passed", "reference") for state in states):
            return path if done else found[0]
    return found[-1]
