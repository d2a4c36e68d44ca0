"""A page's notebook, a way to report an error, a link to the repository.

Both links appear only when the book knows the address of its repository:
`repository: url` in _config.yml, or BOOK_REPOSITORY in the environment, which
the publishing workflow sets.
"""

import os
from urllib.parse import urlencode, urlsplit

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.util import logging

logger = logging.getLogger(__name__)
CLONE = {
    "shell": "git clone {address} build-a-gpt",
    "colab": "!git clone {address} build-a-gpt\n"
    "%cd build-a-gpt/notebooks\n"
    "%pip install -r ../requirements.txt",
}
BODY = """\
Page: {title}
Address: {page}.html, made from {source}

What is wrong, and what should stand there?
"""


def repository(config):
    """The address of the repository without a slash at its end, or ""."""
    address = os.environ.get("BOOK_REPOSITORY", "")
    address = address or config.html_theme_options.get("repository_url", "")
    parts = urlsplit(address)
    if address and (parts.scheme != "https" or not parts.path.strip("/")):
        logger.warning("repository is no https:// address: %s", address)
        return ""
    return address.rstrip("/").removesuffix(".git")


def report(address, title, page, source):
    """The address at which an error on a page is reported, filled in."""
    title_, body = f"Error on the page “{title}”", BODY.format(**locals())
    if "gitlab" in urlsplit(address).netloc:
        fields = {"issue[title]": title_, "issue[description]": body}
        return f"{address}/-/issues/new?{urlencode(fields)}"
    fields = {"title": title_, "body": body}
    return f"{address}/issues/new?{urlencode(fields)}"


def on_config(app, config):
    """As a setting of its own: all pages are made anew when it changes."""
    config.book_repository = repository(config)


def on_page(app, pagename, templatename, context, doctree):
    """Tell the template page-foot.html what it may offer."""
    if doctree is None:  # the search page has no source
        return
    source = app.env.doc2path(pagename, base=False)
    context["mg_notebook"] = str(source).endswith(".ipynb")
    address = app.config.book_repository
    if address:
        title = app.env.titles[pagename].astext()
        context["mg_report"] = report(address, title, pagename, source)
        context["header_buttons"].append({
            "type": "link", "url": address, "label": "repository-button",
            "text": "Repository", "tooltip": "The code of this course",
            "icon": "fas fa-code-branch",
        })  # fmt: skip


class Clone(Directive):
    """`{clone} shell`, `{clone} colab`: how to get the whole folder.

    Its content stands before the command; nothing at all appears when the
    address is not known.
    """

    required_arguments = 1
    has_content = True

    def run(self):
        address = self.state.document.settings.env.config.book_repository
        if not address:
            return []
        words = nodes.container()
        self.state.nested_parse(self.content, self.content_offset, words)
        text = CLONE[self.arguments[0]].format(address=address)
        block = nodes.literal_block(text, text, language="text")
        return [*words.children, block]


def setup(app):
    app.add_config_value("book_repository", "", "env", [str])
    app.connect("config-inited", on_config)
    app.add_directive("clone", Clone)
    # after the theme, which begins the list of buttons
    app.connect("html-page-context", on_page, priority=900)
