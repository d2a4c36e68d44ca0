"""What a page may load: the site's Content-Security-Policy, one text.

Each page carries it in a meta element, the file `_headers` of the built site
carries it for hosts that read that file, the page on publishing shows it, and
the tests serve the site under it. It knows no other host and no script in the
middle of a page: the theme's inline scripts become files when the book is
built.
"""

import hashlib
import html
import re
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive

RULES = {
    "default-src": "'none'",
    "script-src": "'self' blob:",  # a widget's own module, kept in its page
    "style-src": "'self' 'unsafe-inline'",  # styles of single elements
    "img-src": "'self' data: blob:",  # icons drawn in the style sheets
    "font-src": "'self' data:",  # the font of the formulas
    "connect-src": "'self'",  # search results, the playground's model
    "worker-src": "'self' blob:",  # blob: the playground's, from the disk
    "form-action": "'self'",
    "base-uri": "'none'",
}
POLICY = "; ".join(f"{name} {sources}" for name, sources in RULES.items())
# A meta element may not say who may frame the page; a header may.
HEADER = f"{POLICY}; frame-ancestors 'self'"
META = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
HEADERS = f"""\
/*
  Content-Security-Policy: {HEADER}
  X-Content-Type-Options: nosniff
"""
NGINX = "\n".join(  # line by line: the whole is too long for a page
    f'set $csp "{"$csp; " if i else ""}{rule}";'
    for i, rule in enumerate(HEADER.split("; "))
)
FORMS = {
    "rules": (";\n".join(POLICY.split("; ")), "text"),
    "nginx": (
        f"{NGINX}\nadd_header Content-Security-Policy $csp always;\n"
        'add_header X-Content-Type-Options "nosniff" always;',
        "nginx",
    ),
}

SCRIPT = re.compile(r"<script((?:\s[^>]*)?)>(.*?)</script>\s*", re.DOTALL)
DATA = re.compile(r'type="(?!module|text/javascript)')
AS_IT_IS = re.compile(r"\b(defer|async)\b|/inline-|/documentation_options")
# settings that only a version switcher or an instant search would read
UNREAD = re.compile(
    r"\s*DOCUMENTATION_OPTIONS\.(pagename|search_as_you_type) = [^;]*;\s*"
)
PRINT = ' onclick="window.print()"'  # layout.html listens instead


def without_inline(page):
    """A page's HTML -> (the same without inline scripts, {name: script}).

    What stands before the first script with an address settles the colours:
    it becomes one file that runs before the first paint. Options are set at
    once too; all scripts that had an address wait until the page is read.
    """
    found = list(SCRIPT.finditer(page))
    started = next((m.start() for m in found if "src=" in m[1]), len(page))
    root = re.search(r'data-content_root="([^"]*)"', page)
    static = f"{html.escape(root[1] if root else './')}_static"
    early = [
        m[2]
        for m in found
        if m.start() < started and not DATA.search(m[1]) and m[2].strip()
    ]
    files = {}

    def address(text):
        name = f"inline-{hashlib.sha256(text.encode()).hexdigest()[:12]}.js"
        files[name] = text
        return f'<script src="{static}/{name}"></script>\n'

    def moved(match):
        attributes, text = match[1], match[2]
        if DATA.search(attributes):
            return match[0]
        if "src=" in attributes:
            done = AS_IT_IS.search(attributes)
            return match[0] if done else f"<script defer{match[0][7:]}"
        if match.start() < started:
            joined = "\n".join(early)
            return address(joined) if text == early[0] else ""
        if UNREAD.fullmatch(text):
            return ""
        return address(text)

    return SCRIPT.sub(moved, page).replace(PRINT, ""), files


def on_page(app, pagename, templatename, context, doctree):
    context["mg_policy"] = META


def on_finished(app, error):
    """Take scripts out of the pages; write `_headers` beside them."""
    if error or app.builder.format != "html":
        return
    out = Path(app.outdir)
    used = set()
    for path in out.rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        if path.name == "404.html":  # shown at any address
            root = html.escape(app.config.notfound_urls_prefix)
            page = page.replace('content_root="./"', f'content_root="{root}"')
        clean, files = without_inline(page)
        for name, text in files.items():
            (out / "_static" / name).write_text(text, encoding="utf-8")
        if clean != page:
            path.write_text(clean, encoding="utf-8")
        used |= set(re.findall(r"/(inline-\w+\.js)\"", clean))
    for path in (out / "_static").glob("inline-*.js"):
        if path.name not in used:
            path.unlink()
    (out / "_headers").write_text(HEADERS, encoding="utf-8")
    (out / ".nojekyll").touch()  # a branch of Pages would drop _static


class Policy(Directive):
    """`{policy} rules`, `{policy} nginx`: the policy, as it is used."""

    required_arguments = 1

    def run(self):
        text, language = FORMS[self.arguments[0]]
        return [nodes.literal_block(text, text, language=language)]


def setup(app):
    app.add_directive("policy", Policy)
    app.connect("html-page-context", on_page)
    app.connect("build-finished", on_finished, priority=950)
