"""The command line: `python -m minigpt --help`, or `minigpt --help`."""

import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Annotated

import tyro

from minigpt.course.cli import Course, Doctor, Learn
from minigpt.run.options import (
    PRESETS,
    Eval,
    ExportModel,
    Generate,
    Serve,
    Share,
    Train,
)

Command = (
    Annotated[Learn, tyro.conf.subcommand("learn")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Generate, tyro.conf.subcommand("generate")]
    | Annotated[Serve, tyro.conf.subcommand("serve")]
    | Annotated[Eval, tyro.conf.subcommand("eval")]
    | Annotated[ExportModel, tyro.conf.subcommand("export-model")]
    | Annotated[Share, tyro.conf.subcommand("share")]
    | Annotated[Course, tyro.conf.subcommand("course")]
    | Annotated[Doctor, tyro.conf.subcommand("doctor")]
)
FUNCTIONS = {  # imported when they are called, so that --help is quick
    Train: "training.train_gpt",
    Generate: "generation.write_text",
    Serve: "server.serve",
    Eval: "evaluation.print_score",
    ExportModel: "models.export_model",
    Share: "share.write_page",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit code, 2 with one clear line on a user's error."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # where a pipe's encoding lacks a letter, write it in another way
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        arguments, more = split_off(arguments)
        command = parse(Command, arguments)
        if isinstance(command, Train):
            command = parse(Train, arguments[1:], default=defaults(command))
        if isinstance(command, Learn):
            return import_module("minigpt.course.learn").learn(
                command.folder, command.way, more
            )
        if type(command) not in FUNCTIONS:
            return command.run()
        return function(FUNCTIONS[type(command)])(command)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130  # as shells have it


def split_off(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The words of a command, and what `learn` hands on to JupyterLab."""
    if arguments[:1] != ["learn"] or {"-h", "--help"} & set(arguments):
        return arguments, []
    end = 1
    if len(arguments) > 1 and not arguments[1].startswith("-"):
        end = 2
    if arguments[end : end + 1] == ["--way"]:
        end += 2
    return arguments[:end], arguments[end:]


def parse(kind, arguments, default=tyro.MISSING_NONPROP):
    """Words of the command line -> options."""
    installed = Path(sys.argv[0]).stem == "minigpt"
    return tyro.cli(
        tyro.conf.OmitArgPrefixes[kind],
        prog="minigpt" if installed else "python -m minigpt",
        description="A GPT built from scratch, chapter by chapter.",
        args=arguments,
        default=default,
    )


def defaults(command: Train) -> Train:
    """What holds for options that are not given: those of run or preset."""
    if command.resume:
        return function("training.stored_options")(command.out)
    # without a warmup, so that one that is typed can be told from the usual
    return replace(PRESETS[command.preset], warmup_steps=None)


def function(name: str):
    """`training.train_gpt` -> the function of `minigpt.run`."""
    module, name = name.split(".")
    return getattr(import_module(f"minigpt.run.{module}"), name)


if __name__ == "__main__":
    sys.exit(main())
