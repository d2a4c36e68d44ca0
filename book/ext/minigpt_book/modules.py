"""The reference of `minigpt`: its public names, in their own words.

Signatures and docstrings come from the package through autodoc; which modules
there are, and the chapter of each, from the notebooks that are in the book.
"""

import importlib
import inspect
import re
from dataclasses import is_dataclass
from pathlib import Path
from types import FunctionType

import minigpt.viz
from minigpt.course.notebooks import module_name, read
from minigpt.viz import palette
from minigpt.viz.base import Widget

PAGE = "book/api"
VIZ = Path(minigpt.viz.__file__).parent
SECTION = """
## minigpt.{module}

From [{title}](../{docname}.ipynb).

```{{eval-rst}}
.. automodule:: minigpt.{module}
   :members:
   :special-members: __call__
```
"""
CHECK = "check(id, answer=…, *, seconds=10.0, seed=1)"
AROUND = """
## minigpt.course, minigpt.run and minigpt.viz

Written by hand, not exported by a chapter. What the chapters and the learner
edition take from them:

```{{eval-rst}}
.. autofunction:: minigpt.course.check.{check}
.. autofunction:: minigpt.course.check.hint(id, number=1)
.. autofunction:: minigpt.course.check.solution(id)
.. autofunction:: minigpt.course.check.use_reference(id)
.. autofunction:: minigpt.run.models.load_model(path=ASSETS / "presidents")
.. autofunction:: minigpt.viz.show
.. autofunction:: minigpt.viz.ladder
{widgets}
```

`minigpt.viz.palette` is a dictionary of the colours that figures, widgets and
pages share: {colours}. The commands are described by
`python -m minigpt --help`.
"""
SECTIONS = {"Args:": "param", "Raises:": "raises"}
# What is code in a docstring without saying so: order="pre", ("t", "h"), "pre"
CODE = re.compile(
    r'\w+="\w+"|[(\[](?:"[^"]*"(?:, )?)+[)\]]|"[a-z][\w.]*"(?!\w)'
)
ARROW = re.compile(r"(?<!\S)->(?!\S)")  # a line could end within it


def around():
    """The section of what is written by hand: functions, widgets, colours."""
    classes = sorted(
        f".. autoclass:: {module}.{widget.__name__}\n{own_methods(widget)}"
        for module, widget in map(widget_of, VIZ.glob("*.py"))
        if widget
    )
    return AROUND.format(
        check=CHECK,
        widgets="\n".join(classes),
        colours=", ".join(palette),
    )


def widget_of(path):
    """minigpt/viz/x.py -> ("minigpt.viz.x", its widget's class or None)."""
    name = f"minigpt.viz.{path.stem}"
    module = importlib.import_module(name)
    for found in vars(module).values():
        is_widget = isinstance(found, type) and issubclass(found, Widget)
        if is_widget and found.__module__ == name and found is not Widget:
            return name, found
    return name, None


def own_methods(widget):
    """The option that lists what a widget can do beyond every widget."""
    names = [
        name
        for name, found in vars(widget).items()
        if isinstance(found, (FunctionType, classmethod))
        and not name.startswith("_")
        and not hasattr(Widget, name)
    ]
    return f"   :members: {', '.join(names)}\n" if names else ""


def on_source(app, docname, source):
    """Write a section for each chapter that exports a module."""
    if docname != PAGE:
        return
    app.env.note_dependency(__file__)
    root = Path(app.srcdir)
    for name in sorted(app.env.found_docs):
        if not name.startswith("notebooks/"):
            continue
        notebook = read(root / f"{name}.ipynb")
        module = module_name(notebook)
        if module is None:
            continue
        app.env.note_dependency(str(root / f"minigpt/{module}.py"))
        title = notebook.cells[0].source.split("\n")[0].lstrip("# ")
        chapter = "chapter " + title.replace(". ", ", ", 1)
        source[0] += SECTION.format(module=module, docname=name, title=chapter)
    source[0] += around()


def on_signature(app, what, name, obj, options, signature, returns):
    """Show what a widget is made from; its own base class hides it."""
    if what != "class":
        return None
    if is_dataclass(obj):
        return signature.replace("<factory>", "[]"), returns
    if not issubclass(obj, Widget):
        return None
    own = inspect.signature(obj.__init__)
    plain = [
        argument.replace(annotation=argument.empty)
        for argument in list(own.parameters.values())[1:]
    ]
    return str(own.replace(parameters=plain)), returns


def on_docstring(app, what, name, obj, options, lines):
    """Mark errors, arguments and quoted words of a docstring for Sphinx."""
    if what == "class" and is_dataclass(obj):
        lines += settings(inspect.getsource(obj))
    lines[:] = [
        ARROW.sub("→", CODE.sub(r"``\g<0>``", line)) for line in fields(lines)
    ]


def settings(source):
    """What stands behind the settings of a dataclass, as fields of Sphinx.

    `    clip: float = 1.0  # longest gradient` -> `:param clip: longest …`
    """
    found = ["", ""]
    for name, default, words in re.findall(
        r"^    (\w+): .*? = (.*?)  # (.*)", source, re.M
    ):
        if words.startswith("or "):  # the default, or another
            words = f"{default} {words}"
        found.insert(-1, f":param {name}: {words}")
    return found


def fields(lines):
    """`Raises:` and below it `    TypeError: why` -> `:raises TypeError: why`.

    The same for `Args:`; lines that go on stay as they are.
    """
    kind, found = None, []
    for line in lines:
        if line in SECTIONS:
            kind = SECTIONS[line]
            found += [""] * bool(found and found[-1])
            continue
        if line and not line.startswith(" "):
            kind = None
        entry = kind and re.match(r" {4}(\w+): (.*)", line)
        found.append(f":{kind} {entry[1]}: {entry[2]}" if entry else line)
    return found


def setup(app):
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("source-read", on_source)
    app.connect("autodoc-process-signature", on_signature)
    app.connect("autodoc-process-docstring", on_docstring)
    app.connect("config-inited", on_config)


def on_config(app, config):
    """Docstrings name code in `backticks`, and only what they say counts."""
    config.autodoc_member_order = "bysource"
    config.autodoc_inherit_docstrings = False
    config.autodoc_preserve_defaults = True  # LayerNorm, not <class '…'>
    config.default_role = "code"
    config.nitpick_ignore_regex += [("py:.*", ".*")]  # types of other packages
