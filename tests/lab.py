"""Fixtures for tests in JupyterLab: one server, notebooks opened in it.

`lab_page(notebook)` opens a notebook in JupyterLab, with every other host
refused; `run()` runs it and `widget(name)` waits for a widget.
`stored(*views)` is a notebook that shows widgets and holds their state.
"""

import base64
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import nbformat
import pytest
from nbformat import sign
from nbformat.v4 import new_code_cell, new_notebook, new_output

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
VERSION = {"version_major": 2, "version_minor": 0}
NO_NEWS = {"fetchNews": "false", "checkForUpdates": False}
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
READY = "() => window.jupyterapp?.shell.currentWidget?.context?.isReady"
IDLE = """() => window.jupyterapp.shell.currentWidget.sessionContext.session
    ?.kernel?.status === 'idle'"""
RUN = "() => window.jupyterapp.commands.execute('notebook:run-all-cells')"
SAID = ".jp-OutputArea [data-mime-type='application/vnd.jupyter.stderr']"
THEME = """(theme) => window.jupyterapp.commands.execute(
    'apputils:change-theme', { theme })"""


def stored(*views):
    """A notebook that shows widgets, with their state, as if it had run."""
    from ipywidgets import embed

    state = embed.dependency_state(views, drop_defaults=False)
    nb = new_notebook(
        cells=[_shown(view, n) for n, view in enumerate(views, 1)],
        metadata={"kernelspec": KERNEL},
    )
    nb.metadata["widgets"] = {
        STATE: {"state": json.loads(json.dumps(state)), **VERSION}
    }
    return nb


def _shown(view, n):
    """The n-th cell of a notebook, which shows `view`."""
    data, metadata = view._repr_mimebundle_()
    if "image/png" in data:  # IPython does so when it displays
        data["image/png"] = base64.b64encode(data["image/png"]).decode()
    data[VIEW] = {"model_id": view.model_id, **VERSION}
    output = new_output("display_data", data=data, metadata=metadata)
    return new_code_cell("view", execution_count=n, outputs=[output])


def notebook(source):
    """A notebook of one code cell that has not been run."""
    cell = new_code_cell(source)
    return new_notebook(cells=[cell], metadata={"kernelspec": KERNEL})


def free_port():
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


def wait_for(url, server, seconds=60):
    """Wait until the server answers; RuntimeError with its words if not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            return urllib.request.urlopen(url, timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise RuntimeError("JupyterLab did not start")


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """(folder, address, token) of a JupyterLab of its own, ended at the end."""
    home = tmp_path_factory.mktemp("lab")
    folder, settings = home / "work", home / "settings"
    folder.mkdir()
    news = settings / "@jupyterlab" / "apputils-extension"
    news.mkdir(parents=True)
    file = news / "notification.jupyterlab-settings"
    file.write_text(json.dumps(NO_NEWS))
    port, token = free_port(), secrets.token_hex(16)
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": folder,
        "IdentityProvider.token": token,
        "LabApp.expose_app_in_browser": True,
        "LabApp.user_settings_dir": settings,
        "LabApp.workspaces_dir": home / "workspaces",
        "LabApp.news_url": "",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser"]
    own = {
        f"JUPYTER_{kind.upper()}_DIR": home / kind
        for kind in ("runtime", "config", "data")
    }
    with open(home / "log.txt", "wb") as log:
        server = subprocess.Popen(
            [*command, "--allow-root", *flags],
            stdout=log,
            stderr=log,
            cwd=folder,
            env=os.environ | {k: str(v) for k, v in own.items()},
        )
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(f"{address}/api?token={token}", server)
            yield folder, address, token
        finally:
            server.terminate()
            server.wait(timeout=30)


class Lab:
    """A notebook that is open in JupyterLab, and what it asked others for."""

    def __init__(self, context, address, path):
        self.foreign, self.address = [], address
        context.route(lambda url: not url.startswith(address), self._refuse)
        self.page = context.new_page()
        self.page.set_default_timeout(30_000)
        self.page.goto(f"{address}/{path}")
        self.page.wait_for_function(READY, timeout=90_000)

    def _refuse(self, route):
        if route.request.url.startswith(("data:", "blob:")):
            route.continue_()
        else:
            self.foreign.append(route.request.url)
            route.abort()

    def run(self):
        """Run all cells in a fresh kernel."""
        self.page.wait_for_function(IDLE, timeout=90_000)
        self.page.evaluate(RUN)

    def theme(self, name):
        """Change to "light" or "dark" while the notebook is open."""
        self.page.evaluate(THEME, f"JupyterLab {name.capitalize()}")

    def widget(self, label):
        """The widget of this name, once it is drawn.

        JupyterLab itself sometimes asks for a stored widget before it has
        read it ("model not found"); opening the notebook again helps.
        """
        root = self.page.locator(
            f'.jp-OutputArea section.mg[aria-label="{label}"]'
        )
        early = self.page.get_by_text("model not found")
        wrong = self.page.locator(SAID, has_text="Traceback (most recent")
        for _ in range(3):
            root.or_(early).or_(wrong).first.wait_for(timeout=90_000)
            if root.count():
                return root
            if wrong.count():
                raise AssertionError(wrong.first.inner_text())
            self.page.reload()
            self.page.wait_for_function(READY, timeout=90_000)
        raise AssertionError(f"{label}: JupyterLab did not find its model")


@pytest.fixture
def lab_page(lab, browser):
    """lab_page(notebook, trusted=False) -> the notebook, open in JupyterLab."""
    folder, address, token = lab
    contexts = []
    settings = folder.parent / "settings" / "@jupyterlab"
    chosen = settings / "apputils-extension" / "themes.jupyterlab-settings"

    def go(nb, *, trusted=False, **options):
        chosen.unlink(missing_ok=True)  # the theme that another test left
        name = f"{secrets.token_hex(4)}.ipynb"
        nbformat.write(nb, folder / name)
        if trusted:
            data = str(folder.parent / "data")
            sign.NotebookNotary(data_dir=data).sign(nb)
        options.setdefault("viewport", {"width": 1280, "height": 900})
        contexts.append(browser.new_context(**options))
        path = f"lab/tree/{name}?token={token}&reset"
        return Lab(contexts[-1], address, path)

    yield go
    for context in contexts:
        context.close()
