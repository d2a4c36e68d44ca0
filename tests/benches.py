"""The benchmarks as modules: they import each other by name."""

import importlib
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "benchmarks"


def benchmark_module(name):
    """`benchmarks/NAME.py`, imported as if it was run."""
    sys.path.insert(0, str(FOLDER))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(FOLDER))
