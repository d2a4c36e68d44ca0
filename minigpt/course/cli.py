"""`python -m minigpt course …`: what each command takes and says."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from minigpt.course.notebooks import find_root


@dataclass(frozen=True)
class Export:
    """Turn the marked cells of the notebooks into modules of `minigpt/`."""

    chapters: tyro.conf.Positional[tuple[str, ...]] = ()
    """Chapter numbers, such as 03 04. None: all."""
    root: Path | None = None
    """Folder of the course. Default: found from the current folder upward."""

    def run(self) -> int:
        from minigpt.course.export import export

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
        from minigpt.course.run import run

        for path, seconds in run(find_root(self.root), self.chapters):
            print(f"{seconds:6.1f} s  {path.name}")
        return 0


Command = Annotated[Export, tyro.conf.subcommand("export")] | Annotated[
    Run, tyro.conf.subcommand("run")
]


@dataclass(frozen=True)
class Doctor:
    """Check that this machine is ready for the course."""

    def run(self) -> int:
        from minigpt.course.environment import check_environment, report

        answers = check_environment()
        print(report(answers))
        return 0 if all(x.fine for x in answers) else 1


@dataclass(frozen=True)
class Course:
    """Work on the course itself: run and export its notebooks."""

    command: tyro.conf.OmitSubcommandPrefixes[Command] = field()
    """What to do."""

    def run(self) -> int:
        return self.command.run()
