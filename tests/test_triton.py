"""The kernel that chapter 21 shows, in Triton's interpreter, where it is.

Triton is never required: `pip install triton && pytest -m triton`.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
HEAD = """
import torch
import triton
import triton.language as tl
from minigpt.serving import tiled_attention


"""
CHECK = """

for T, D, tile in ((1, 16, 16), (50, 16, 16), (64, 32, 32), (33, 16, 64)):
    torch.manual_seed(T)
    q, k, v = torch.randn(3, T, D)
    y = torch.empty(T, D)
    grid = ((T + tile - 1) // tile,)
    attend_kernel[grid](q, k, v, y, T, D**-0.5, D, tile)
    torch.testing.assert_close(y, tiled_attention(q, k, v, tile=tile))
print("equal")
"""


def kernel():
    """The lines of the chapter, from its Markdown."""
    nb = nbformat.read(ROOT / "notebooks" / "21_serving.ipynb", as_version=4)
    text = "\n".join(c.source for c in nb.cells if c.cell_type == "markdown")
    [found] = re.findall(r"```python\n(@triton\.jit.*?)```", text, re.S)
    return found


def test_the_kernel_is_python():
    compile(kernel(), "kernel", "exec")


@pytest.mark.triton
def test_the_kernel_gives_what_the_chapter_computes(tmp_path):
    path = tmp_path / "kernel.py"  # Triton reads the source of its kernels
    path.write_text(HEAD + kernel() + CHECK, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, cwd=ROOT,
        env=os.environ | {"TRITON_INTERPRET": "1"},
    )  # fmt: skip
    assert done.stdout == "equal\n", done.stderr[-2000:]
