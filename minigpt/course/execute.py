"""Execute notebooks in fresh kernels and store their outputs."""

import os
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import (
    CellExecutionError,
    CellTimeoutError,
    DeadKernelError,
)
from tqdm import tqdm

from minigpt.course.notebooks import CourseError, chapters, read, write

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
TIMEOUT = 600  # seconds for one cell
# no progress bars; threads that wait do not spin, which on a busy machine can
# make a notebook ten times slower
QUIET = {"TQDM_DISABLE": "1", "OMP_WAIT_POLICY": "PASSIVE"}
KEPT_CELL_METADATA = ("tags", "mystnb", "exercise", "jupyter")


def run_notebook(path: Path) -> float:
    """Execute one notebook in a fresh kernel; store it; seconds it took.

    Progress bars are off and standard error is not stored.

    Raises:
        CourseError: a cell failed or took too long; the file is unchanged.
    """
    nb = read(path)
    started = time.perf_counter()
    run_cells(nb, path)
    write(tidy(nb), path)
    return time.perf_counter() - started


def run_cells(nb: nbformat.NotebookNode, path: Path) -> None:
    """Execute the cells of `nb` in a fresh kernel, in the folder of `path`.

    Raises:
        CourseError: a cell failed or took too long.
    """
    code = [c for c in nb.cells if c.cell_type == "code"]
    for cell in code:
        cell.outputs, cell.execution_count = [], None
    bar = tqdm(total=len(code), desc=path.name, unit="cell")
    client = NotebookClient(
        nb,
        timeout=TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_executed=lambda **_: bar.update(),
    )
    try:
        with bar:
            client.execute(env=os.environ | QUIET)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        number = _failed_cell(nb)
        raise CourseError(
            f"{path.name}, cell {number} failed; the file is unchanged.\n{error}"
        ) from None


def _failed_cell(nb) -> int:
    """The number (from 1) of the last cell that was executed."""
    return max(
        (n for n, c in enumerate(nb.cells, 1) if c.get("execution_count")),
        default=1,
    )


def tidy(nb: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Keep the metadata that must last, drop standard error, in place."""
    for cell in nb.cells:
        kept = {
            k: v for k, v in cell.metadata.items() if k in KEPT_CELL_METADATA
        }
        cell.metadata = nbformat.from_dict(kept)
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
    widgets = nb.metadata.get("widgets")
    nb.metadata = nbformat.from_dict(
        {
            "kernelspec": {
                "display_name": "Python 3 (ipykernel)",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
        }
    )
    if widgets and widgets.get(WIDGET_STATE, {}).get("state"):
        nb.metadata["widgets"] = widgets
        return _stable_widgets(nb)
    return nb


def _joined(outputs):
    """The outputs without standard error; what was printed in one piece."""
    kept = []
    for output in outputs:
        if output.get("name") == "stderr":
            continue
        if output.get("name") == "stdout" and kept:
            if kept[-1].get("name") == "stdout":
                kept[-1]["text"] += output["text"]
                continue
        kept.append(output)
    return kept


def _stable_widgets(nb):
    """Keep the models that a view shows; name them by their place."""
    state = nb.metadata["widgets"][WIDGET_STATE]["state"]
    shown = [
        output["data"][WIDGET_VIEW]["model_id"]
        for cell in nb.cells
        for output in cell.get("outputs", [])
        if WIDGET_VIEW in output.get("data", {})
    ]
    keep, todo = [], [m for m in shown if m in state]
    while todo:
        model = todo.pop(0)
        if model not in keep:
            keep.append(model)
            todo += [m for m in state if m in str(state[model]["state"])]
    nb.metadata["widgets"][WIDGET_STATE]["state"] = {m: state[m] for m in keep}
    text = nbformat.writes(nb, version=4)
    for place, model in enumerate(keep, 1):
        text = text.replace(model, f"{place:032x}")
    return nbformat.reads(text, as_version=4)


def execute(
    root: Path, numbers: tuple[str, ...] = ()
) -> list[tuple[Path, float]]:
    """Execute the chapters one after the other; (path, seconds) for each."""
    return [(path, run_notebook(path)) for path in chapters(root, numbers)]
