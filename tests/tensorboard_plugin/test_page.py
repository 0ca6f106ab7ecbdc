"""The tab in a browser, inside a running TensorBoard.

apt-get install chromium          # or the tests are skipped, and say so
WQ_HOOKS_SCREENSHOTS=/tmp/shots pytest tests/tensorboard_plugin/test_page.py
"""

from __future__ import annotations

import os
import re
import time

import pytest

pytest.importorskip("tensorboard")
pytest.importorskip("websocket")
from tests.support import browser
from tests.support.job import Job
from tests.support.sessions import wait_until
from tests.support.tab import Tab, axe_violations, serving
from wq_hooks.tensorboard_plugin import demo

pytestmark = [
    pytest.mark.skipif(
        browser.find_chromium() is None,
        reason="no Chromium: the tab was not tested in a browser",
    ),
]

HOSTILE_WORKER = "<img src=x onerror=\"document.title='hacked'\">"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The directory and the address of a TensorBoard over played jobs."""
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
        yield logdir, url


@pytest.fixture(scope="module")
def new_page():
    with browser.browser() as new_page:
        yield new_page


@pytest.fixture(scope="module")
def opened(server, new_page):
    return Tab(new_page()).open(server[1], "running", "train")


@pytest.fixture
def tab(opened):
    """The tab, as the test before has left it: to load it takes seconds."""
    opened.page.call("Page.bringToFront")
    opened.page.resize()
    yield opened
    opened.be_dark(False)
    assert opened.page.errors == []


@pytest.fixture
def train_tab(tab):
    """The tab with the card of a queue."""
    return tab.go("running", "train")


@pytest.mark.parametrize("dark", [False, True])
def test_every_part_of_a_card_is_there(train_tab, dark):
    tab = train_tab
    tab.be_dark(dark)
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
        "elapsed",
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
    assert tab.count(".workers tbody tr") == 7
    assert tab.texts("tr.is-slow .badge.slow") == ["slow"]
    assert "start 2" in tab.texts(".badge.starts")[0]
    assert tab.texts(".workers thead th") == [
        "Worker",
        "Items",
        "Share",
        "Records/s",
        "Time per item",
        "Waiting",
        "Current item",
        "Age",
        "Last heard",
        "Host:pid",
    ]
    assert tab.count(".timeline .bar-done") > 300
    assert tab.count(".timeline .bar-open") == int(tiles["in_flight"])
    assert tab.count(".timeline .bar-lost") == 1
    assert tab.count(".timeline .bar-again") == 1
    tab.shoot("dark" if dark else "light")


def test_runs_and_queues_are_chosen_and_the_address_follows(tab):
    tab.go()
    assert tab.count(".card") == 8
    assert tab.address() == {}
    tab.choose("run", "running")
    assert tab.address() == {"run": "running"}
    assert tab.texts("#queue option") == [
        "All queues (2)",
        "train",
        "validation",
    ]
    tab.choose("queue", "validation")
    assert tab.texts("h2 .name") == ["validation", "running"]
    tab.run("doc.querySelector('input[value=step]').click()")
    tab.run("doc.querySelector('[data-sort=name]').click()")
    chosen = {
        "run": "running",
        "queue": "validation",
        "axis": "step",
        "sort": "name",
    }
    assert tab.address() == chosen
    # The queue that another run lacks is not asked for there.
    tab.choose("run", "one worker")
    assert tab.texts("#queue option") == ["All queues (1)", "train"]
    assert tab.address() == {
        "run": "one worker",
        "axis": "step",
        "sort": "name",
    }


def test_the_address_is_followed(server, new_page):
    tab = Tab(new_page())
    tab.open(server[1], "running", "train", axis="step", sort="-completed")
    assert tab.count(".card") == 1
    assert not any(":" in text for text in tab.texts(".chart .tick"))
    assert tab.count("th[aria-sort=descending] [data-sort=completed]") == 1
    tab.go("one worker")
    assert tab.texts("h2 .name") == ["train", "one worker"]
    assert any(":" in text for text in tab.texts(".chart .tick"))


@pytest.mark.parametrize(
    ("run", "queue", "why"),
    [
        ("one worker", "validation", "Run one worker has no queue validation."),
        ("gone", "", "This log has no run gone with a queue."),
        ("", "gone", "This log has no queue gone."),
    ],
)
def test_an_empty_choice_says_why(tab, run, queue, why):
    tab.go(run, queue)
    assert tab.count(".card") == 0
    text = tab.texts(".empty")[0].replace("\u2068", "").replace("\u2069", "")
    assert text.startswith(why)
    assert "It has: " in text


def test_several_runs_are_drawn_over_each_other(tab):
    tab.go()
    chart = ".overlay"
    assert tab.count(f"{chart} .line") == 8
    assert tab.count(f"{chart} .key") == 8
    assert {"0 s", "5 min", "10 min"} <= set(tab.texts(f"{chart} .tick"))
    label = tab.run(
        "doc.querySelector('.overlay svg').getAttribute('aria-label')"
    )
    assert "one worker \u00b7 train: 40 % after 3 min 20 s" in label
    # The rates of all cards have one unit.
    units = tab.texts("[data-tile=rate] .unit")
    assert len(units) == 8
    assert len(set(units)) == 1
    tab.choose("run", "one worker")
    assert tab.run("doc.querySelector('.overlay').hidden")


def test_items_that_overlap_have_lanes(train_tab):
    tab = train_tab
    tops = tab.run(
        "[...doc.querySelectorAll('.timeline .bar-done')]"
        ".map(b => [b.getAttribute('y'), b.getAttribute('x'),"
        " b.getAttribute('width'), b.getAttribute('height')].map(Number))"
    )
    by_lane = {}
    for top, left, width, height in tops:
        assert height < 12
        by_lane.setdefault(top, []).append((left, left + width))
    # Two for each worker.
    assert len(by_lane) == 14
    for bars in by_lane.values():
        bars.sort()
        for (_, right), (left, _) in zip(bars, bars[1:]):
            assert left > right


def pieces(tab, selector):
    """Returns in how many pieces a line or an area is drawn."""
    path = tab.run(f"doc.querySelector({selector!r}).getAttribute('d')")
    return path.count("M")


def test_gaps_stay_gaps(tab):
    tab.go("resumed")
    assert tab.texts(".gap-text") == ["not running, 5 min"] * 2
    assert tab.count(".chart .gap") == 2
    assert tab.count(".timeline .gap") == 1
    for kind in ("completed", "in-flight", "remaining"):
        assert pieces(tab, f".area.{kind}") == 2
    for kind in ("low-watermark", "items-rate", "oldest"):
        assert pieces(tab, f".line.{kind}") == 2
    # By step as well.
    tab.go("resumed", axis="step")
    assert pieces(tab, ".line.items-rate") == 2
    assert tab.count(".chart .gap") == 0


def test_what_has_happened(tab):
    tab.go("resumed")
    rows = (
        "[...doc.querySelectorAll('.events tbody tr')].map(r => r.dataset.what)"
    )
    assert tab.run(rows) == ["resumed", "lost", "back", "began"]
    # The begin is no mark; what happens at the same time shares one.
    marks = "[...doc.querySelectorAll('.event-mark')].map(m => m.dataset.what)"
    assert tab.run(marks) == ["resumed", "lost back"] * 2
    assert tab.count(".timeline .bar-lost") == 6
    tab.type(".events [type=search]", "WORKER:1")
    assert tab.run(rows) == ["lost", "back"]
    tab.run(
        "(doc.querySelector('.events select').value = 'back',"
        "doc.querySelector('.events select')"
        ".dispatchEvent(new Event('change')))"
    )
    assert tab.run(rows) == ["back"]
    assert tab.texts(".events .note") == ["1 of 4, newest first"]
    # With the keyboard.
    tab.page.evaluate("document.querySelector('iframe').focus()")
    tab.focus(".card .chart")
    tab.page.press("Home")
    for _ in range(60):
        tab.page.press("ArrowRight")
        if "Resumed at step" in tab.texts(".card .readout")[0]:
            break
    else:
        pytest.fail("the resume is not read aloud")


def test_since_when(tab):
    tab.go("resumed")
    elapsed = tab.texts("[data-tile=elapsed] dd")[0]
    assert re.match(r"15 min 0 s since (\S+ )?\d\d:\d\d$", elapsed)
    assert "without the 43 completed before" in tab.texts(".workers .note")[0]


def test_a_job_that_was_done_days_ago(tab):
    tab.go("done, days ago")
    assert re.fullmatch(
        r"All 200 items were completed in 12 min \d+ s\.",
        tab.texts(".verdict")[0],
    )
    assert tab.texts("[data-tile=elapsed] dt") == ["Took"]
    assert tab.count("[data-tile=eta]") == 0
    days = tab.texts(".tick.day")
    assert len(days) >= 3
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", day) for day in days)
    clocks = tab.texts(".chart .tick:not(.day)")
    assert any(re.fullmatch(r"\d\d:\d[05]", text) for text in clocks)


def test_a_log_that_is_days_old_is_no_alarm(tab):
    tab.go("broken off, days ago")
    assert "no data" in tab.texts(".chip")[0]
    # What was last heard of the workers was not three days ago.
    heard = tab.texts(".workers tbody td:nth-child(9)")
    assert len(heard) == 4
    assert all(re.match(r"\d{4}-\d\d-\d\d ", text) for text in heard)
    assert "at the last write" in tab.texts(".timeline-figure .legend")[0]
    assert tab.texts(".updated")[0].startswith("last written 20")
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
        return tab.texts(".workers tbody tr td:first-child .name")[0]

    def sorted_by():
        return tab.run(
            "[...doc.querySelectorAll('.workers th')]"
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
    first = "doc.querySelectorAll('.card .readout')[0]"
    tab.focus(".card .chart")
    tab.page.press("End")
    tab.page.press("ArrowLeft")
    readout = tab.wait_for(f"{first}.textContent")
    assert "completed" in readout
    assert "low watermark" in readout
    # The charts share their cursor.
    assert "items" in tab.texts(".card .readout")[1]
    tab.page.press("Escape")
    tab.wait_for(f"{first}.textContent == ''")
    tab.focus(".timeline")
    tab.page.press("ArrowRight")
    tab.page.press("ArrowDown")
    readout = tab.wait_for(
        "doc.querySelector('.timeline-figure .readout').textContent"
    )
    assert "clicks/part-" in readout
    assert tab.count(".is-chosen") == 1


def test_the_readout_of_the_timeline_stays_in_view(tab):
    tab.go("many")
    tab.page.resize(height=600)
    readout = "doc.querySelector('.timeline-figure .readout')"
    assert tab.run(
        f"{readout}.compareDocumentPosition(doc.querySelector('.timeline')) & 4"
    )
    tab.run("doc.querySelector('.timeline .axis-line').scrollIntoView(false)")
    top, bottom = tab.run(
        f"((r) => [r.top, r.bottom])({readout}.getBoundingClientRect())"
    )
    toolbar, window = tab.run(
        "[doc.querySelector('.toolbar').offsetHeight,"
        " doc.defaultView.innerHeight]"
    )
    first_row = tab.run(
        "doc.querySelector('.timeline .row').getBoundingClientRect().top"
    )
    assert first_row < 0
    assert toolbar - 1 <= top < bottom < window


def test_a_wide_screen_is_used(tab):
    tab.go()
    tops = "[...doc.querySelectorAll('.card')].map(c => c.offsetTop)"
    assert len(set(tab.run(tops)[:3])) == 3
    tab.page.resize(width=3840)
    tab.wait_for(f"new Set({tops}.slice(0, 3)).size == 1")
    assert tab.run(
        "doc.documentElement.scrollWidth <= doc.documentElement.clientWidth"
    )


def test_why_somebody_is_slow_without_a_mouse(tab):
    tab.go("slow disk, slow machine")
    tab.page.evaluate("document.querySelector('iframe').focus()")
    reasons = {}
    for worker in ("worker:4", "worker:5"):
        row = f'tr[data-worker="{worker}"]'
        tab.focus(f"{row} button.badge")
        tab.page.press("Enter", text="\r")
        tab.wait_for(f"doc.querySelector('{row} + .reason') !== null")
        reasons[worker] = tab.texts(f"{row} + .reason")[0]
    assert "training" in reasons["worker:4"]
    assert re.search(r"7\d ?% waiting for data", reasons["worker:5"])
    # They stay open when the log is read again.
    tab.reload()
    assert tab.count(".reason") == 2
    assert tab.count("tr.is-slow") == 2
    assert "5 %" in tab.texts("tr[data-worker='worker:4'] td")
    assert "75 %" in tab.texts("tr[data-worker='worker:5'] td")
    # All columns are there, and none is cut.
    assert "node-4:" in tab.texts("tr[data-worker='worker:4'] td:last-child")[0]
    assert tab.run(
        "((s) => s.scrollWidth <= s.clientWidth)"
        "(doc.querySelector('.workers .scroll'))"
    )
    ranges = tab.texts(".range")
    assert len(ranges) == 6
    assert all("\u2013" in text for text in ranges)


def test_with_a_finger(tab):
    tab.go("slow disk, slow machine")
    row = 'tr[data-worker="worker:4"]'
    if tab.count(f"{row} + .reason"):
        tab.run(f"doc.querySelector('{row} button.badge').click()")
    tab.tap(f"{row} button.badge")
    tab.wait_for(f"doc.querySelector('{row} + .reason') !== null")
    assert "training" in tab.texts(f"{row} + .reason")[0]
    # What is read from a chart stays when the finger is gone.
    tab.tap(".card .chart")
    tab.wait_for("doc.querySelector('.card .readout').textContent != ''")
    assert "completed" in tab.texts(".card .readout")[0]
    tab.tap(".timeline rect.bar")
    tab.wait_for(
        "doc.querySelector('.timeline-figure .readout').textContent != ''"
    )


def test_single_items(tab):
    tab.go("slow disk, slow machine")
    assert tab.count(".slowest tbody tr") == 20
    worker = tab.texts(".slowest tbody tr td:nth-child(2)")
    assert set(worker[:5]) <= {"worker:4", "worker:5"}
    first = tab.texts(".slowest tbody tr td")
    assert re.search(r"\(\d\.\d\u00d7\)", first[2])
    assert first[3] == "10,000"
    item = first[0]
    tab.type(".items [type=search]", item)
    tab.wait_for("doc.querySelectorAll('.found tbody tr').length == 1")
    found = tab.texts(".found tbody tr td")
    assert found[0] == item
    assert found[3] == "1\u00d7"
    assert "waiting for data" in found[4]
    tab.type(".items [type=search]", "no such item")
    tab.wait_for("doc.querySelector('.found').hidden")
    assert "0 found. Nothing of this name" in tab.texts(".items .note")[0]
    tab.type(".items [type=search]", "")


def test_what_is_read_aloud(train_tab):
    tab = train_tab
    assert tab.run("doc.documentElement.lang") == "en"
    assert tab.page.evaluate("document.querySelector('iframe').title") == (
        "Work Queue"
    )
    completed = tab.texts("[data-tile=completed] dd")[0]
    assert re.match(r"\d+ of 720 ", completed)
    labels = tab.run(
        "[...doc.querySelectorAll('.card svg')]"
        ".map(s => s.getAttribute('aria-label'))"
    )
    assert len(labels) == 3
    number = tab.texts("[data-tile=completed] .value")[0]
    assert f"{number} of 720 items completed" in labels[0]
    assert "items/min at the end" in labels[1]
    assert "Items of 7 workers" in labels[2]
    # The arrow of the order is no part of the name of a button.
    tree = tab.page.call("Accessibility.getFullAXTree", frameId=tab.frame())
    names = {
        node["name"]["value"]
        for node in tree["nodes"]
        if node.get("role", {}).get("value") == "button"
    }
    assert {"Age", "Worker", "Reload"} <= names


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing(tab, dark):
    tab.go("running")
    tab.be_dark(dark)
    tab.run("doc.querySelector('tr.is-slow button.badge').click()")
    violations = axe_violations(tab)
    if violations is None:
        pytest.skip("no axe-playwright-python: axe-core was not run")
    assert violations == []


def test_the_reload_button_of_tensorboard_reloads(train_tab):
    tab = train_tab
    tab.run("doc.querySelector('[data-sort=name]').click()")
    reads = (
        "doc.defaultView.performance.getEntriesByType('resource')"
        ".filter(e => e.name.includes('/card?')).length"
    )
    number = tab.run(reads)
    tab.page.evaluate(
        "document.querySelector('app-header-reload button').click()"
    )
    tab.wait_for(f"{reads} > {number}")
    tab.settle()
    # What was chosen stays.
    assert tab.texts(".workers tbody tr td:first-child .name")[0] == "chief:0"
    assert tab.count(".card") == 1


@pytest.mark.parametrize("run", ["hostile <b>names", "hostile <i>too"])
def test_hostile_names_are_text(tab, run):
    tab.go(run)
    assert tab.texts("h2 .name") == ["ads/train", run]
    for tag in ("img", "b", "i", "script:not([src]):not([type])", "a"):
        assert tab.count(f"#work-queue {tag}") == 0
    if run.endswith("too"):
        # A worker's name ends where that of its consumer begins, at the "/".
        assert HOSTILE_WORKER in tab.texts(".workers tbody .name")
        assert max(map(len, tab.texts(".workers tbody .name"))) == 120
    titles = tab.texts(".timeline title")
    assert titles
    # A long name does not make the page wider than the window.
    assert tab.run(
        "doc.documentElement.scrollWidth <= doc.documentElement.clientWidth"
    )
    assert "hacked" not in tab.page.evaluate("document.title")
    assert "hacked" not in tab.run("doc.title")


def test_a_thousand_workers(tab):
    begin = time.monotonic()
    tab.go("many")
    # Much more than it takes, for a machine that is busy.
    assert time.monotonic() - begin < 60
    assert tab.count(".workers tbody tr") == 200
    assert "200 of 1,000" in tab.texts(".workers .note")[0]
    assert tab.count("tr.is-slow") == 1
    assert tab.count(".timeline .row") == 40
    tab.type("[type=search]", "worker:99")
    assert tab.count(".workers tbody tr") == 11
    size, msecs = tab.run(
        "performance.timeOrigin && [1, 2] && "
        "((e) => [e.decodedBodySize, e.responseEnd - e.startTime])"
        "(doc.defaultView.performance.getEntriesByType('resource')"
        ".findLast(e => e.name.includes('/card?')))"
    )
    assert 100_000 < size < 1_000_000
    assert msecs < 30_000
    tab.shoot("many")


def test_a_card_advises_shorter_items(server, new_page):
    logdir, url = server
    works = [f"part-{i:02d}" for i in range(15)]
    paces = {"worker:0": 60.0, "worker:1": 60.0, "worker:2": 240.0}
    demo.write_job(
        str(logdir / "few works"),
        "train",
        demo.Player(works, paces),
        end=300.0,
        every=10.0,
        last=time.time() + 3600,
    )
    tab = Tab(new_page()).open(url, "few works")
    while not tab.count(".card .verdict"):
        tab.page.evaluate("new Promise(r => setTimeout(r, 500))")
        tab.reload()

    (advice,) = tab.texts(".advice li:not([hidden])")

    assert tab.run("doc.querySelector('.advice li').dataset.advice") == "tail"
    assert "num_slices=" in advice
    assert tab.page.errors == []


@pytest.mark.cluster
def test_a_real_job_of_records_behind_a_shuffle(server, new_page):
    logdir, url = server
    run = logdir / "real"
    run.mkdir()
    kwargs = {
        "num_workers": 2,
        "slow": {"worker:1": 5.0},
        "source": "records",
        "num_works": 40,
        "records_per_item": 8,
        "step_secs": 0.03,
        "shuffle_buffer": 12,
        "every_secs": 0.5,
        "lease_secs": 3,
        "save_steps": 20,
    }
    with Job(run, **kwargs) as job:
        job.start()
        wait_until(lambda: len(job.items()) > 60)
        job.kill("worker:0")
        # Lost, and told of.
        before = len(job.items())
        wait_until(lambda: len(job.items()) > before + 60)
        job.cluster.kill_all()
    with Job(run, **kwargs) as job:
        job.start()
        assert set(job.cluster.wait_for_job(250).values()) == {0}
    tab = Tab(new_page()).open(url, "real")
    while "done" not in [text[2:] for text in tab.texts(".chip")]:
        tab.page.evaluate("new Promise(r => setTimeout(r, 500))")
        tab.reload()
    assert tab.texts(".verdict")[0].startswith("All 40 items were completed in")
    # Whoever reads behind a shuffle has several items open.
    heights = tab.run(
        "[...doc.querySelectorAll('.timeline rect.bar')]"
        ".map(b => Number(b.getAttribute('height')))"
    )
    assert min(heights) <= 8
    assert tab.count(".timeline .bar-lost") >= 2
    assert tab.count(".timeline .bar-again") >= 2
    # In each of the charts; a gap that is narrow has no text.
    assert tab.count(".gap") >= 3
    # A busy machine may have kept the chief from writing for a while, too.
    assert pieces(tab, ".area.completed") >= 2
    rows = tab.run(
        "[...doc.querySelectorAll('.events tbody tr')].map(r => r.dataset.what)"
    )
    assert rows[0] == "done"
    assert rows[-1] == "began"
    assert "resumed" in rows
    tab.shoot("real-records")
    assert tab.page.errors == []


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
        while "straggler" not in tab.texts(".chip")[0]:
            assert "done" not in tab.texts(".chip")[0], job.log("chief:0")
            tab.page.evaluate("new Promise(r => setTimeout(r, 500))")
            tab.reload()
        assert slow in tab.texts(".verdict")[0]
        assert slow in tab.texts("tr.is-slow .name")
        assert tab.count(".workers tbody tr") == num_workers + 1
        for kind in ("completed", "in-flight", "remaining"):
            assert tab.count(f".area.{kind}") == 1
        for kind in ("low-watermark", "items-rate", "records-rate", "oldest"):
            assert tab.count(f".line.{kind}") == 1
        # The kill, and what was in flight at the resume.
        assert tab.count(".timeline .bar-done") > 10
        assert tab.count(".timeline .bar-lost") >= 1
        assert tab.count(".timeline .bar-again") >= 2
        tab.shoot("real-light")
        tab.be_dark(True)
        tab.shoot("real-dark")
        assert set(job.cluster.wait_for_job(120).values()) == {0}
        while "done" not in tab.texts(".chip")[0]:
            tab.page.evaluate("new Promise(r => setTimeout(r, 500))")
            tab.reload()
            assert len(tab.page.errors) == 0
        assert tab.texts(".verdict")[0].startswith("All ")
        assert tab.page.errors == []
