"""`python -m minigpt course …`: what each command takes and says."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

Way = Literal["guided", "blank-page", "from-nothing"]


@dataclass(frozen=True)
class Export:
    """Turn the marked cells of the notebooks into modules of `minigpt/`.

    In a learner edition: yours, of the chapters that have no blanks left.
    """

    chapters: tyro.conf.Positional[tuple[str, ...]] = ()
    """Chapter numbers, such as 03 04. None: all."""
    root: Path | None = None
    """Folder of the course. Default: found from the current folder upward."""

    def run(self) -> int:
        from minigpt.course import edition
        from minigpt.course.export import export
        from minigpt.course.notebooks import find_root

        if folder := edition.find_edition(self.root):
            for what, name in edition.export(folder, self.chapters):
                print(f"{what} {name}")
            return 0
        for path, changed in export(find_root(self.root), self.chapters):
            print(f"{'wrote    ' if changed else 'unchanged'} {path.name}")
        return 0


@dataclass(frozen=True)
class Run:
    """Execute notebooks in fresh kernels and store their outputs."""

    chapters: tyro.conf.Positional[tuple[str, ...]] = ()
    """Chapter numbers, such as 03 04. None: all."""
    root: Path | None = None
    """Folder of the course. Default: found from the current folder upward."""

    def run(self) -> int:
        from minigpt.course.execute import execute
        from minigpt.course.notebooks import find_root

        for path, seconds in execute(find_root(self.root), self.chapters):
            print(f"{seconds:6.1f} s  {path.name}")
        return 0


@dataclass(frozen=True)
class Check:
    """A verdict on one chapter that you changed, in about a minute.

    Executes its notebook, exports its module, and runs the module's tests and
    the proofs of its exercises.
    """

    chapter: tyro.conf.Positional[str]
    """A chapter number, such as 04."""
    root: Path | None = None
    """Folder of the course. Default: found from the current folder upward."""

    def run(self) -> int:
        from minigpt.course.notebooks import find_root
        from minigpt.course.verdict import check_chapter

        return check_chapter(find_root(self.root), self.chapter)


@dataclass(frozen=True)
class Start:
    """Make a learner edition: notebooks with blanks, your own package."""

    folder: tyro.conf.Positional[Path]
    """Where to; notebooks that are there already stay as they are."""
    way: Way | None = None
    """Blanks to fill; functions of which only signature and docstring are
    there; or only what each module must do. Default: guided, or as before."""
    root: Path | None = None
    """Folder of the course. Default: the one that this minigpt came with."""

    def run(self) -> int:
        from minigpt.course import edition

        root = self.root or edition.course_of(self.folder)
        for path, written in edition.start(root, self.folder, self.way):
            print(f"{'wrote' if written else 'kept '} {path.name}")
        print(f'\nNow: cd "{self.folder}", and run jupyter lab there.')
        return 0


@dataclass(frozen=True)
class Status:
    """In a learner edition: exercises passed, and whose modules are in use."""

    folder: Path | None = None
    """The edition. Default: the one around the current folder."""

    def run(self) -> int:
        from minigpt.course import edition

        print(edition.status(edition.the_edition(self.folder)))
        return 0


@dataclass(frozen=True)
class Reset:
    """In a learner edition: a chapter afresh; what you wrote is kept beside."""

    chapters: tyro.conf.Positional[tuple[str, ...]] = ()
    """Chapter numbers, such as 03 04."""
    module: tuple[str, ...] = ()
    """Modules, such as attention: use the course's again, keep notebooks."""
    way: Way | None = None
    """How you want to work on these chapters. Default: as in the others."""
    yes: bool = False
    """Do it without asking."""
    folder: Path | None = None
    """The edition. Default: the one around the current folder."""

    def run(self) -> int:
        from minigpt.course import edition

        folder, kept = edition.the_edition(self.folder), []
        if not self.chapters and not self.module:
            raise ValueError("expected chapter numbers or --module NAME")
        what = ", ".join([*self.chapters, *self.module])
        if not (self.yes or agreed(f"Begin again with {what}?")):
            print("nothing changed")
            return 1
        course = edition.course_of(folder)
        for number in self.chapters:
            kept += edition.reset(course, folder, number, self.way)
        for name in self.module:
            kept += edition.reset_module(folder, name)
        for path in kept:
            print(f'kept yours as "{path.relative_to(folder)}"')
        return 0


@dataclass(frozen=True)
class Release:
    """Make an nbgrader course: assignments with visible and hidden tests."""

    folder: tyro.conf.Positional[Path]
    """Where to; an assignment that is there already stops it."""
    chapters: tuple[str, ...] = ()
    """Chapter numbers, such as 03 04. None: all."""
    root: Path | None = None
    """Folder of the course. Default: the one that this minigpt came with."""

    def run(self) -> int:
        from minigpt.course import edition
        from minigpt.course.release import release

        root = self.root or edition.course_of(self.folder)
        for path in release(root, self.folder, self.chapters):
            print(f"wrote {path.parent.name}")
        print(f"\nNow: change to {self.folder} and run nbgrader there.")
        return 0


@dataclass(frozen=True)
class Grade:
    """Grade a folder of submissions, without nbgrader.

    A folder for each student, with notebooks in it; or a notebook for each.
    """

    folder: tyro.conf.Positional[Path]
    """The submissions."""
    out: Path = Path("grades")
    """Where to: grades.csv, and for each student a report to read and a
    results.json for Gradescope."""
    seed: int | None = None
    """Chooses the numbers that students do not see. None: new ones."""

    def run(self) -> int:
        from minigpt.course.grade import grade

        lines = grade(self.folder, self.out, self.seed)
        students = len({line["student"] for line in lines})
        print(f'graded {students} students: "{self.out / "grades.csv"}"')
        return 0


def agreed(question: str) -> bool:
    """Ask; yes where nobody sits at a keyboard."""
    if not sys.stdin.isatty():
        return True
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


Command = (
    Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Run, tyro.conf.subcommand("run")]
    | Annotated[Check, tyro.conf.subcommand("check")]
    | Annotated[Start, tyro.conf.subcommand("start")]
    | Annotated[Status, tyro.conf.subcommand("status")]
    | Annotated[Reset, tyro.conf.subcommand("reset")]
    | Annotated[Release, tyro.conf.subcommand("release")]
    | Annotated[Grade, tyro.conf.subcommand("grade")]
)


@dataclass(frozen=True)
class Doctor:
    """Check that this machine is ready for the course."""

    def run(self) -> int:
        from minigpt.course.environment import check_environment, report

        answers = check_environment()
        print(report(answers))
        return 0 if all(x.fine for x in answers) else 1


@dataclass(frozen=True)
class Learn:
    """Start the course, or continue: your own copy, opened in JupyterLab.

    Makes notebooks with blanks to fill and a package of your own; what is
    there already stays as it is. Further options go to JupyterLab, for example
    --no-browser or --ip.
    """

    folder: tyro.conf.Positional[Path | None] = None
    """Your copy of the course. Default: the one you are in, or else my-gpt."""
    way: Way | None = None
    """How much you write yourself. guided: the course's code has blanks;
    blank-page: functions have only signature and docstring; from-nothing: you
    get what each module must do, and its checks. Default: guided, or as before.
    To switch in one chapter: course reset 04 --way blank-page."""


@dataclass(frozen=True)
class Course:
    """Notebooks in, modules out; editions for learners."""

    command: tyro.conf.OmitSubcommandPrefixes[Command] = field()
    """What to do."""

    def run(self) -> int:
        return self.command.run()
