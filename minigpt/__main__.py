"""The command line: `python -m minigpt --help`."""

import sys
from typing import Annotated

import tyro

from minigpt.course.cli import Course, Doctor
from minigpt.course.notebooks import CourseError
from minigpt.run import Eval, ExportModel, Train
from minigpt.run.generate import Generate

Command = (
    Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Generate, tyro.conf.subcommand("generate")]
    | Annotated[Eval, tyro.conf.subcommand("eval")]
    | Annotated[ExportModel, tyro.conf.subcommand("export-model")]
    | Annotated[Course, tyro.conf.subcommand("course")]
    | Annotated[Doctor, tyro.conf.subcommand("doctor")]
)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit code, 2 with one clear line on a user's error."""
    command = tyro.cli(
        tyro.conf.OmitArgPrefixes[Command],
        prog="python -m minigpt",
        description="A GPT built from scratch, chapter by chapter.",
        args=arguments,
    )
    try:
        return command.run()
    except (CourseError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    # where a pipe's encoding lacks a letter of a path, say it in another way
    sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main())
