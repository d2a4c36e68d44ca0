"""The reference of `minigpt`: its public names, in their own words.

Signatures and docstrings come from the package through autodoc; which modules
there are, and the chapter of each, from the notebooks that are in the book.
"""

from pathlib import Path

from minigpt.course.notebooks import module_name, read

PAGE = "book/api"
SECTION = """
## minigpt.{module}

From [{title}](../{docname}.ipynb).

```{{eval-rst}}
.. automodule:: minigpt.{module}
   :members:
```
"""


def on_source(app, docname, source):
    """Write a section for each chapter that exports a module."""
    if docname != PAGE:
        return
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


def setup(app):
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("source-read", on_source)
    app.connect("config-inited", on_config)


def on_config(app, config):
    """Docstrings name code in `backticks`, and only what they say counts."""
    config.autodoc_member_order = "bysource"
    config.autodoc_inherit_docstrings = False
    config.default_role = "code"
    config.nitpick_ignore_regex += [("py:.*", ".*")]  # types of other packages
