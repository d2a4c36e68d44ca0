"""What every widget shares: packing of numbers, texts, a static stand-in.

A widget is one Python file and one JavaScript file of the same name::

    # minigpt/viz/rainbow.py
    import traitlets
    from minigpt.viz.base import Widget, html_table, pack, packed, visible

    class Rainbow(Widget):
        tokens = traitlets.List().tag(sync=True)   # list[str], plain text
        weights = packed()                         # bytes + shape + dtype

        def __init__(self, tokens, weights):       # weights (H, T, T), causal
            super().__init__(
                tokens=list(tokens), weights=pack(weights, lower=True)
            )

        def describe(self):                        # one sentence, same always
            return f"Attention weights over {len(self.tokens)} tokens."

        def fallback(self):                        # HTML text or a Figure
            names = [visible(t) for t in self.tokens]
            return html_table("Head 0", ["", *names], rows)

    // minigpt/viz/rainbow.js: no imports; every mg… function is at hand
    export default {
      render({ model, el }) {
        const weights = mgUnpack(model.get("weights"));
        const names = model.get("tokens").map((t) => mgVisible(t));
        const map = mgHeatMap({ label: "attention", rows: names, cols: names,
          at: (r, c) => weights.at(0, r, c),
          describe: (r, c) => `${names[r]} looks at ${names[c]}` });
        const { root, dispose } = mgWidget(el, { label: "Attention",
          redraw: () => map.redraw() });
        root.append(map.el, map.readout.el);
        return dispose;
      },
    };

`render` must work with `model.get` alone: a page of the book has no kernel.
There the state of every control that common.js makes is kept in the page's
address; `mgKeep` does the same for a control of the widget's own.
The base class puts common.js before the widget's script and common.css before
its own .css file, if there is one. Where no script runs (GitHub, print), the
reader sees `fallback()`, and `describe()` as plain text; nbval compares both,
so round numbers to digits that hold on every machine.
"""

import html
import sys
import unicodedata
from pathlib import Path

import anywidget
import numpy as np
import traitlets

HERE = Path(__file__).parent
DTYPES = ("float16", "float32", "uint8", "uint16", "int32")
SIGNS = {" ": "·", "\n": "↵", "\t": "→", "\u00a0": "⍽", "\x7f": "␡"}
HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn", "Zs"}


def packed():
    """A trait that holds what `pack` returns and travels as bytes."""
    return traitlets.Dict().tag(sync=True)


def pack(values, dtype="float16", *, lower=False):
    """Array or tensor (..., T, T) -> a dict of shape, dtype and bytes.

    With `lower`, what stands above the diagonal of the last two dimensions is
    left out (causal maps). `mgUnpack` of common.js reads it back.

    Raises ValueError for values that `dtype` cannot hold.
    """
    values = values.detach().cpu() if hasattr(values, "detach") else values
    array = np.asarray(values)
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {DTYPES}, got {dtype!r}")
    if lower and (array.ndim < 2 or array.shape[-1] != array.shape[-2]):
        raise ValueError(f"lower needs a shape (..., T, T), got {array.shape}")
    small = _cast(array, dtype)
    if lower:
        small = small[..., *np.tril_indices(array.shape[-1])]
    return {
        "shape": list(array.shape),
        "dtype": dtype,
        "lower": lower,
        "data": np.ascontiguousarray(small).tobytes(),
    }


def _cast(array, dtype):
    """Return `array` as little-endian `dtype`, refusing what would be lost."""
    target = np.dtype(dtype).newbyteorder("<")
    with np.errstate(over="ignore", invalid="ignore"):
        small = array.astype(target)
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError("values must be numbers, got NaN")
    lost = (
        np.isinf(small) & ~np.isinf(array)
        if target.kind == "f"
        else (small.astype(np.float64) != array.astype(np.float64))
    )
    if lost.any():
        raise ValueError(
            f"{dtype} cannot hold the value {array[lost].ravel()[0]}"
        )
    return small


def visible(text, longest=12, keep=""):
    """Text -> text that can be seen: `" a\\n"` -> `"·a↵"`.

    Spaces, line ends, control characters and direction marks get a sign, a
    combining mark that no letter carries (one carries four) gets a circle, a
    long token is cut, none is `∅`. What stands in `keep` stays as it is.
    """
    cut = len(text) > longest
    shown, holds = "", 0  # how many more marks the letter before can carry
    for c in text[: longest - 1] if cut else text:
        hidden = c != " " and unicodedata.category(c) in HIDDEN
        mark = unicodedata.category(c)[0] == "M"
        sign = c if c in keep else SIGNS.get(c)
        if sign:
            shown += sign
        elif ord(c) < 32:
            shown += chr(0x2400 + ord(c))
        elif hidden:
            shown += f"⟨{ord(c):04X}⟩"
        elif mark and not holds:
            shown += "◌" + c
        else:
            shown += c
        if sign or ord(c) < 32 or hidden:
            holds = 0
        else:
            holds = (holds if mark and holds else 4 if mark else 5) - 1
    return shown + "…" if cut else shown or "∅"  # an empty token


def html_table(caption, header, rows):
    """Texts -> an HTML table, escaped; the first column names the row."""

    def cell(tag, text, scope=""):
        return f"<{tag}{scope}><bdi>{html.escape(str(text))}</bdi></{tag}>"

    head = "".join(cell("th", text, ' scope="col"') for text in header)
    body = "\n".join(
        "<tr>"
        + cell("th", row[0], ' scope="row"')
        + "".join(cell("td", text) for text in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<table class="mg-fallback">\n'
        f"<caption>{html.escape(caption)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    )


def lean(text):
    """A script or style sheet without indentation and lines of comment.

    Notebooks store it once for each widget. Lines that begin with `//` or are
    one `/* … */` go; a text in backticks may be broken inside `${…}` only.
    """
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(
        line
        for line in lines
        if line
        and not line.startswith("//")
        and not (line.startswith("/*") and line.find("*/") == len(line) - 2)
    )


class Widget(anywidget.AnyWidget):
    """A view with a script, a style sheet and a stand-in without either."""

    def __init_subclass__(cls, **kwargs):
        """Read the .js and .css files that stand beside the subclass."""
        super().__init_subclass__(**kwargs)
        if isinstance(cls.__dict__.get("_esm"), traitlets.TraitType):
            return  # made by anywidget itself, when an instance is made
        here = getattr(sys.modules[cls.__module__], "__file__", None)
        for key, suffix in ("_esm", ".js"), ("_css", ".css"):
            own = cls.__dict__.get(key)
            file = Path(here).with_suffix(suffix) if here else None
            if own is None and file and file.exists():
                own = file.read_text(encoding="utf-8")
            common = (HERE / f"common{suffix}").read_text(encoding="utf-8")
            setattr(cls, key, lean(common + "\n" + (own or "")))

    def describe(self):
        """Return one sentence that tells what is seen, the same every time."""
        raise NotImplementedError(f"{type(self).__name__} needs describe()")

    def fallback(self):
        """Return an HTML table (a string) or a matplotlib Figure."""
        raise NotImplementedError(f"{type(self).__name__} needs fallback()")

    def _repr_mimebundle_(self, **kwargs):
        """Give the live view together with what stands in for it."""
        data, metadata = super()._repr_mimebundle_(**kwargs)
        alt = self.describe()
        data["text/plain"] = alt
        stand_in = self.fallback()
        if isinstance(stand_in, str):
            data["text/html"] = stand_in
        else:
            from minigpt.viz.style import picture

            data["image/png"] = picture(stand_in)
            metadata = {**metadata, "image/png": {"alt": alt}}
        return data, metadata
