"""A learner's own `minigpt` folder, laid over the course's.

The learner's modules come first, the course has the others. A module of the
learner's that raises while it is imported is reported by name, and the
course's own stands in, so that the course goes on.
"""

import sys
import warnings
from importlib.machinery import SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path

REFERENCE = Path(__file__).resolve().parents[1]
BROKEN = {}  # module name -> what it raised, in one line

INIT = '''\
"""Your own minigpt: modules that you export stand here, the course has the rest.

Written by `python -m minigpt course start`; notebooks beside this folder use it.
"""

import sys
from importlib.machinery import PathFinder
from pathlib import Path

_mine = Path(__file__).resolve().parent


def _course():
    """The folder of the course's own minigpt, wherever it is installed."""
    others = [x for x in sys.path if Path(x or ".").resolve() != _mine.parent]
    for finder in sys.meta_path:
        path = others if finder is PathFinder else None
        spec = finder.find_spec("minigpt", path)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin and origin.parent != _mine:
            return origin.parent
    raise ImportError(
        "the course's own minigpt was not found: install it with "
        "'pip install -r requirements.txt' in the folder of the course"
    )


__path__.append(str(_course()))

from minigpt.course.overlay import install  # noqa: E402
from minigpt.public import find as __getattr__  # noqa: E402, F401

install(_mine)
'''


class OwnLoader(SourceFileLoader):
    """Load a learner's module; when it raises, the course's instead."""

    def path_stats(self, path):
        """Never use a stored compilation: an export may be a second old."""
        raise OSError("no cache")

    def exec_module(self, module):
        name = module.__name__.rpartition(".")[2]
        course = REFERENCE / f"{name}.py"
        BROKEN.pop(name, None)
        try:
            super().exec_module(module)
        except (Exception, SystemExit) as error:
            if not course.exists():
                raise
            BROKEN[name] = _one_line(error, self.path)
            warnings.warn(broken(name), stacklevel=2)
            _replace(module, course)


class OwnFinder:
    """Finds the learner's modules, before anything else is asked."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def find_spec(self, fullname, path=None, target=None):
        package, _, name = fullname.rpartition(".")
        file = self.folder / f"{name}.py"
        if package != "minigpt" or not file.exists():
            return None
        loader = OwnLoader(fullname, str(file))
        return spec_from_file_location(fullname, file, loader=loader)


def install(folder) -> None:
    """Let imports of `minigpt.x` look into the learner's folder first."""
    mine = [f for f in sys.meta_path if isinstance(f, OwnFinder)]
    if Path(folder) not in [f.folder for f in mine]:
        sys.meta_path.insert(0, OwnFinder(folder))


def broken(name: str) -> str:
    """What to tell a learner about a module that raised."""
    return (
        f"your minigpt/{name}.py raises {BROKEN[name]}; the course's {name} "
        f"stands in. Mend it in its notebook and export it again, or go back "
        f"to the course's for good: python -m minigpt course reset --module "
        f"{name}"
    )


def _replace(module, course: Path) -> None:
    """Fill a module from the course's file."""
    keep = {"__name__", "__package__", "__builtins__"}
    for key in set(vars(module)) - keep:
        del vars(module)[key]
    loader = SourceFileLoader(module.__name__, str(course))
    module.__spec__ = spec_from_file_location(
        module.__name__, course, loader=loader
    )
    module.__loader__, module.__file__ = loader, str(course)
    loader.exec_module(module)


def _one_line(error, path) -> str:
    """The error with the learner's line, in one line."""
    line, frame = getattr(error, "lineno", None), error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == path:
            line = frame.tb_lineno
        frame = frame.tb_next
    text = str(getattr(error, "msg", error)).strip().splitlines()
    what = ": ".join([type(error).__name__, *text[:1]])
    return f"{what} (line {line})" if line else what
