"""The tab in a browser, inside a running TensorBoard.

apt-get install chromium          # or the tests are skipped, and say so
WQ_HOOKS_SCREENSHOTS=/tmp/shots pytest tests/tensorboard_plugin/test_page.py
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytest.importorskip("tensorboard")
pytest.importorskip("websocket")
from tests.support import browser
from tests.support.job import Job
from tests.support.sessions import wait_until
from wq_hooks.tensorboard_plugin import demo

pytestmark = [
    pytest.mark.skipif(
        browser.find_chromium() is None,
        reason="no Chromium: the tab was not tested in a browser",
    ),
]

HOSTILE_WORKER = "<img src=x onerror=\"document.title='hacked'\">"


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


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a TensorBoard over played jobs."""
    logdir = tmp_path_factory.mktemp("logs")
    # Ahead of time: a busy machine must not let the running jobs grow old.
    now = time.time() + 3600
    demo.write_all(str(logdir), now)
    demo.write_many(str(logdir), now)
    demo.write_job(
        str(logdir / "hostile <i>too"),
        "ads/train",
        demo.Player(
            demo.HOSTILE_WORKS * 5,
            {HOSTILE_WORKER: 9.0, "../../etc/passwd": 11.0, "w" * 5000: 10.0},
        ),
        end=60.0,
        every=10.0,
        last=now,
    )
    with serving(logdir) as url:
        yield url


@pytest.fixture(scope="module")
def new_page():
    with browser.browser() as new_page:
        yield new_page


class Tab:
    """The tab in a page; code runs inside its frame."""

    def __init__(self, page):
        self.page = page

    def open(self, server, run="", queue="", *, dark=False):
        self.page.open(
            f"{server}?darkMode={str(dark).lower()}#work_queue"
            f"&p.work_queue.run={run}&p.work_queue.queue={queue}"
        )
        self.wait_for("Number(doc.documentElement.dataset.ready) > 0")
        return self

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

    def shoot(self, name):
        directory = os.environ.get("WQ_HOOKS_SCREENSHOTS")
        if directory:
            Path(directory).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(Path(directory) / f"{name}.png")


@pytest.fixture
def tab(new_page):
    tab = Tab(new_page())
    yield tab
    assert tab.page.errors == []


@pytest.fixture(scope="module")
def opened(server, new_page):
    return Tab(new_page()).open(server, "running", "train")


@pytest.fixture
def train_tab(opened):
    """The tab with one card, as the test before has left it."""
    yield opened
    assert opened.page.errors == []


@pytest.mark.parametrize("dark", [False, True])
def test_every_part_of_a_card_is_there(server, tab, dark):
    tab.open(server, "running", "train", dark=dark)
    assert tab.count(".card") == 1
    assert "straggler" in tab.texts(".chip")[0]
    assert tab.texts(".verdict")[0].startswith(
        "1 of 7 workers is slow: worker:5"
    )
    tiles = dict(
        zip(
            tab.run(
                "[...doc.querySelectorAll('.tile')].map(t => t.dataset.tile)"
            ),
            tab.texts(".tile .value"),
        )
    )
    assert set(tiles) == {
        "remaining",
        "in_flight",
        "completed",
        "epoch",
        "rate",
        "eta",
        "item_secs",
    }
    counts = [int(tiles[t]) for t in ("remaining", "in_flight", "completed")]
    assert sum(counts) == 720
    assert tiles["eta"].endswith("s")
    assert tab.count(".epochs > span") == 3
    for kind in ("completed", "in-flight", "remaining"):
        assert tab.count(f".area.{kind}") == 1
    for kind in ("low-watermark", "items-rate", "records-rate", "oldest"):
        assert tab.count(f".line.{kind}") == 1
    assert tab.count(".epoch-mark") >= 1
    assert tab.count("tbody tr") == 7
    assert tab.texts("tr.is-slow .badge.slow") == ["slow"]
    assert "start 2" in tab.texts(".badge.starts")[0]
    assert tab.texts("thead th") == [
        "Worker",
        "Items",
        "Share",
        "Records/s",
        "Time per item",
        "Current item",
        "Age",
        "Last heard",
        "Incarnation",
    ]
    assert tab.count(".timeline .bar-done") > 300
    assert tab.count(".timeline .bar-open") == 7
    assert tab.count(".timeline .bar-lost") == 1
    assert tab.count(".timeline .bar-again") == 1
    assert tab.run("doc.documentElement.dataset.theme") == (
        "dark" if dark else "light"
    )
    tab.shoot("dark" if dark else "light")


def test_runs_and_queues_are_chosen(server, tab):
    tab.open(server)
    assert tab.count(".card") == 8
    tab.run(
        "(doc.getElementById('run').value = 'running',"
        "doc.getElementById('run').dispatchEvent(new Event('change')))"
    )
    tab.wait_for("doc.querySelectorAll('.card').length == 2")
    tab.run(
        "(doc.getElementById('queue').value = 'validation',"
        "doc.getElementById('queue').dispatchEvent(new Event('change')))"
    )
    tab.wait_for("doc.querySelectorAll('.card').length == 1")
    assert tab.texts("h2 .name") == ["validation", "running"]


def test_a_log_that_is_days_old_is_no_alarm(server, tab):
    tab.open(server, "broken off, days ago")
    assert "no data" in tab.texts(".chip")[0]
    assert tab.texts(".verdict")[0].startswith("No news for 2 d 23 h;")


def test_by_step_or_by_time(train_tab):
    tab = train_tab
    by_time = tab.texts(".chart .tick")
    assert any(":" in text for text in by_time)
    tab.run("doc.querySelector('input[value=step]').click()")
    by_step = tab.texts(".chart .tick")
    assert not any(":" in text for text in by_step)
    assert "10K" in by_step


def test_the_table_is_sorted(train_tab):
    tab = train_tab

    def first():
        return tab.texts("tbody tr td:first-child .name")[0]

    def sorted_by():
        return tab.run(
            "[...doc.querySelectorAll('th')]"
            ".filter(h => h.getAttribute('aria-sort') != 'none')"
            ".map(h => [h.textContent, h.getAttribute('aria-sort')])"
        )

    assert sorted_by() == [["Age", "descending"]]
    tab.run("doc.querySelector('[data-sort=name]').click()")
    assert (first(), sorted_by()) == ("chief:0", [["Worker", "ascending"]])
    tab.run("doc.querySelector('[data-sort=item_secs]').click()")
    assert first() == "worker:5"
    tab.run("doc.querySelector('[data-sort=item_secs]').click()")
    assert sorted_by() == [["Time per item", "ascending"]]
    assert first() != "worker:5"


def test_with_the_keyboard(train_tab):
    tab = train_tab
    tab.page.evaluate("document.querySelector('iframe').focus()")
    tab.focus(".chart")
    tab.page.press("End")
    tab.page.press("ArrowLeft")
    readout = tab.wait_for("doc.querySelectorAll('.readout')[0].textContent")
    assert "completed" in readout
    assert "low watermark" in readout
    # The charts share their cursor.
    assert "items" in tab.texts(".readout")[1]
    tab.page.press("Escape")
    tab.wait_for("doc.querySelectorAll('.readout')[0].textContent == ''")
    tab.focus(".timeline")
    tab.page.press("ArrowRight")
    tab.page.press("ArrowDown")
    readout = tab.wait_for("doc.querySelectorAll('.readout')[2].textContent")
    assert "clicks/part-" in readout
    assert tab.count(".is-chosen") == 1


def test_dark_mode_is_followed(train_tab):
    tab = train_tab
    tab.page.evaluate("document.body.classList.add('dark-mode')")
    tab.wait_for("doc.documentElement.dataset.theme == 'dark'")
    tab.page.evaluate("document.body.classList.remove('dark-mode')")
    tab.wait_for("doc.documentElement.dataset.theme == 'light'")


def test_the_reload_button_of_tensorboard_reloads(train_tab):
    tab = train_tab
    tab.run("doc.querySelector('[data-sort=name]').click()")
    tab.page.evaluate(
        "document.querySelector('app-header-reload button').click()"
    )
    tab.wait_for("Number(doc.documentElement.dataset.ready) > 1")
    # What was chosen stays.
    assert tab.texts("tbody tr td:first-child .name")[0] == "chief:0"
    assert tab.count(".card") == 1


@pytest.mark.parametrize("run", ["hostile <b>names", "hostile <i>too"])
def test_hostile_names_are_text(server, tab, run):
    tab.open(server, run.replace("<", "%3C").replace(">", "%3E"))
    assert tab.texts("h2 .name") == ["ads/train", run]
    for tag in ("img", "b", "i", "script:not([src]):not([type])", "a"):
        assert tab.count(f"#work-queue {tag}") == 0
    if run.endswith("too"):
        # A worker's name ends where that of its consumer begins, at the "/".
        assert HOSTILE_WORKER in tab.texts("tbody .name")
        assert max(map(len, tab.texts("tbody .name"))) == 120
    titles = tab.texts(".timeline title")
    assert titles
    # A long name does not make the page wider than the window.
    assert tab.run(
        "doc.documentElement.scrollWidth <= doc.documentElement.clientWidth"
    )
    assert "hacked" not in tab.page.evaluate("document.title")
    assert "hacked" not in tab.run("doc.title")


def test_a_thousand_workers(server, tab):
    begin = time.monotonic()
    tab.open(server, "many")
    # Much more than it takes, for a machine that is busy.
    assert time.monotonic() - begin < 60
    assert tab.count("tbody tr") == 200
    assert "200 of 1,000" in tab.texts(".workers .note")[0]
    assert tab.count("tr.is-slow") == 1
    assert tab.count(".timeline .row") == 40
    tab.run(
        "(doc.querySelector('[type=search]').value = 'worker:99',"
        "doc.querySelector('[type=search]').dispatchEvent(new Event('input')))"
    )
    assert tab.count("tbody tr") == 11
    size, msecs = tab.run(
        "performance.timeOrigin && [1, 2] && "
        "((e) => [e.decodedBodySize, e.responseEnd - e.startTime])"
        "(doc.defaultView.performance.getEntriesByType('resource')"
        ".find(e => e.name.includes('/card?')))"
    )
    assert 100_000 < size < 1_000_000
    assert msecs < 30_000
    tab.shoot("many")


@pytest.mark.cluster
@pytest.mark.skipif(
    not os.environ.get("WQ_HOOKS_SCREENSHOTS"),
    reason="makes the pictures of docs/view.md: set WQ_HOOKS_SCREENSHOTS",
)
def test_a_real_job_with_a_slow_worker_a_killed_one_and_a_resume(
    new_page, tmp_path
):
    num_workers = 5
    slow = f"worker:{num_workers - 1}"
    logdir = tmp_path / "click model"
    logdir.mkdir()
    kwargs = {
        "num_workers": num_workers,
        "slow": {slow: 4.0},
        "source": "records",
        "num_works": 80,
        "num_epochs": 2,
        "step_secs": 0.15,
        "every_secs": 2.0,
        "lease_secs": 4,
        "save_steps": 50,
    }
    with Job(logdir, **kwargs) as job:
        job.start()
        job.wait_for_item("worker:0")
        wait_until(lambda: len(job.items()) > 200)
        job.kill("worker:0")
        job.cluster.wait("worker:0", 60)
        before = len(job.cluster.lines("worker:0"))
        job.cluster.start("worker:0")
        job.wait_for_item("worker:0", after=before)
        wait_until(lambda: len(job.items()) > 650)
        job.cluster.kill_all()
    with Job(logdir, **kwargs) as job, serving(tmp_path) as url:
        job.start()
        wait_until(lambda: len(job.items()) > 450)
        tab = Tab(new_page())
        tab.open(url)
        assert tab.texts("h2 .name") == ["work_queue", "click model"]
        # With each reload it knows more; first the slow one has to be slow.
        number = 1
        while "straggler" not in tab.texts(".chip")[0]:
            assert "done" not in tab.texts(".chip")[0], job.log("chief:0")
            tab.page.evaluate(
                "document.querySelector('app-header-reload button').click()"
            )
            number = tab.wait_for(
                "((n) => n > " + str(number) + " && n)"
                "(Number(doc.documentElement.dataset.ready))"
            )
        assert slow in tab.texts(".verdict")[0]
        assert slow in tab.texts("tr.is-slow .name")
        assert tab.count("tbody tr") == num_workers + 1
        for kind in ("completed", "in-flight", "remaining"):
            assert tab.count(f".area.{kind}") == 1
        for kind in ("low-watermark", "items-rate", "records-rate", "oldest"):
            assert tab.count(f".line.{kind}") == 1
        # The kill, and what was in flight at the resume.
        assert tab.count(".timeline .bar-done") > 10
        assert tab.count(".timeline .bar-lost") >= 1
        assert tab.count(".timeline .bar-again") >= 2
        tab.shoot("real-light")
        tab.page.evaluate("document.body.classList.add('dark-mode')")
        tab.wait_for("doc.documentElement.dataset.theme == 'dark'")
        tab.shoot("real-dark")
        assert set(job.cluster.wait_for_job(120).values()) == {0}
        while "done" not in tab.texts(".chip")[0]:
            tab.run("doc.getElementById('reload').click()")
            tab.page.evaluate("new Promise(r => setTimeout(r, 500))")
            assert len(tab.page.errors) == 0
        assert tab.texts(".verdict")[0].startswith("All ")
        assert tab.page.errors == []
