"""`minigpt learn`: your own copy of the course, opened where you left it."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from minigpt.course import edition
from minigpt.course.notebooks import CourseError, read
from minigpt.course.progress import load_progress, standing

WELCOME = """\
Your course is in {folder}: notebooks with blanks to fill, and your own minigpt.
JupyterLab opens {chapter}. Run cells with Shift+Enter; Ctrl-C here ends it.
When a chapter is done: python -m minigpt course export {number} (in {folder})"""


def learn(folder: Path | None, jupyter_options: list[str]) -> int:
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
    edition.start(edition.course_of(folder), folder)
    chapter = next_chapter(folder)
    number = max(chapter.name[:2], "01")  # the welcome page has no module
    print(
        WELCOME.format(folder=folder, chapter=chapter.name, number=number),
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
    chapters = edition.notebooks(folder)
    states = [set(standing(read(path), progress).values()) for path in chapters]
    begun = [i for i, have in enumerate(states) if have - {"open"}]
    if not begun:
        return chapters[0]
    for i in range(begun[-1], len(chapters)):
        if states[i] - {"passed", "reference"}:
            return chapters[i]
    return chapters[-1]
