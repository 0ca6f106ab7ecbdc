"""The tab "Work Queue" in a browser, inside a running TensorBoard."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import urllib.parse
from pathlib import Path

from tests.support.paths import ROOT


@contextlib.contextmanager
def serving(logdir):
    """Runs a TensorBoard; gives its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "programs.tensorboard_server", str(logdir)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http"), "TensorBoard has not started"
        yield url
    finally:
        process.stdin.close()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


class Tab:
    """The tab in a page; code runs inside its frame."""

    def __init__(self, page):
        self.page = page

    def open(self, server, run="", queue="", **others):
        """Loads TensorBoard with the tab."""
        self.page.open(f"{server}{_hash_of(run, queue, **others)}")
        return self.settle()

    def go(self, run="", queue="", **others):
        """Changes the address, and waits until the tab has followed."""
        hash_ = json.dumps(_hash_of(run, queue, **others))
        self.page.evaluate(
            f"(location.hash === {hash_}) || new Promise(r => {{"
            "addEventListener('hashchange', () => setTimeout(r), {once: true});"
            f"location.hash = {hash_};}})"
        )
        # The event may have been that of an earlier change.
        for select, value in (("run", run), ("queue", queue)):
            self.wait_for(
                f"((select) => select.value == {json.dumps(value)} || "
                "![...select.options].some("
                f"({{value}}) => value == {json.dumps(value)}))"
                f"(doc.getElementById({json.dumps(select)}))"
            )
        return self.settle()

    def settle(self):
        """Waits until all that is chosen has been read and is shown."""
        self.wait_for("doc.querySelector('main')?.ariaBusy == 'false'")
        return self

    def reload(self):
        """Reads the log again."""
        self.run("doc.getElementById('reload').click()")
        return self.settle()

    def be_dark(self, is_dark):
        """Switches the dark mode, and waits until the tab has followed."""
        self.page.evaluate(
            f"document.body.classList.toggle('dark-mode', {int(is_dark)} > 0)"
        )
        theme = "dark" if is_dark else "light"
        self.wait_for(f"doc.documentElement.dataset.theme == '{theme}'")

    def run(self, code):
        return self.page.evaluate(self._inside(code))

    def wait_for(self, code):
        return self.page.wait_for(self._inside(code))

    def _inside(self, code):
        return (
            "((doc) => doc && (" + code + "))"
            "(document.querySelector('iframe')?.contentDocument)"
        )

    def texts(self, selector):
        return self.run(
            f"[...doc.querySelectorAll({selector!r})].map(n => n.textContent)"
        )

    def count(self, selector):
        return self.run(f"doc.querySelectorAll({selector!r}).length")

    def focus(self, selector):
        self.run(f"doc.querySelector({selector!r}).focus()")

    def tap(self, selector):
        """Touches the middle of what a selector finds, scrolled into view."""
        x, y = self.run(
            "((node, frame) => {"
            "node.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const inner = node.getBoundingClientRect();"
            "const outer = frame.getBoundingClientRect();"
            "return [outer.left + inner.left + inner.width / 2,"
            " outer.top + inner.top + inner.height / 2];})"
            f"(doc.querySelector({selector!r}), doc.defaultView.frameElement)"
        )
        self.page.tap(x, y)

    def shoot(self, name):
        directory = os.environ.get("WQ_HOOKS_SCREENSHOTS")
        if directory:
            Path(directory).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(Path(directory) / f"{name}.png")

    def choose(self, select, value):
        """Chooses an option, as a hand would."""
        self.run(
            f"(doc.getElementById({select!r}).value = {json.dumps(value)},"
            f"doc.getElementById({select!r})"
            ".dispatchEvent(new Event('change')))"
        )
        return self.settle()

    def type(self, selector, text):
        self.run(
            f"(doc.querySelector({selector!r}).value = {json.dumps(text)},"
            f"doc.querySelector({selector!r})"
            ".dispatchEvent(new Event('input')))"
        )

    def frame(self):
        """Returns the id of the frame of the tab."""
        tree = self.page.call("Page.getFrameTree")["frameTree"]
        return tree["childFrames"][0]["frame"]["id"]

    def address(self):
        """Returns what the address says of the tab, by key."""
        hash_ = urllib.parse.unquote(self.page.evaluate("location.hash"))
        parts = [part.partition("=") for part in hash_.split("&")[1:]]
        return {key.rpartition(".")[2]: value for key, _, value in parts}


def _hash_of(run, queue, **others):
    choice = {"run": run, "queue": queue, **others}
    parts = "".join(
        f"&p.work_queue.{key}={urllib.parse.quote(value, safe='')}"
        for key, value in choice.items()
        if value
    )
    return f"#work_queue{parts}"


def axe_violations(tab):
    """Returns what axe-core finds in the frame of the tab; None without it."""
    spec = importlib.util.find_spec("axe_playwright_python")
    if spec is None:
        return None
    path = Path(spec.submodule_search_locations[0], "axe.min.js")
    page = tab.page
    # The policy of the page lets no script of ours in; a world of its own does.
    world = page.call("Page.createIsolatedWorld", frameId=tab.frame())[
        "executionContextId"
    ]
    page.evaluate(f"{path.read_text()}; 0", context=world)
    return page.evaluate(
        "axe.run().then(r => r.violations.map("
        "v => [v.id, v.help, v.nodes.map(n => n.html)]))",
        context=world,
    )
