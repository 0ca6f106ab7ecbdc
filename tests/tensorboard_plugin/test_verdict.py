"""The rules of the view: what is said of a queue, from played jobs."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("tensorboard")
from wq_hooks.core.monitoring.checked_state import checked_state, checked_takes
from wq_hooks.core.monitoring.view import Viewer
from wq_hooks.tensorboard_plugin.card import card_of
from wq_hooks.tensorboard_plugin.demo import Player, parts, workers
from wq_hooks.tensorboard_plugin.reading import Found

BEGIN = 1_000_000.0


class Watched:
    """A played job, and what a reader of its log finds."""

    def __init__(self, player, every=10.0):
        self.player = player
        self.every = every
        self.now = 0.0
        self.viewer = Viewer("train")
        self.found = Found("run", "train", {})

    def look(self):
        self.player.run_until(self.now)
        view = self.viewer.look(self.player.ledger, self.now, BEGIN + self.now)
        # As it is after a journey through JSON.
        self.found.state = json.loads(json.dumps(view.state))
        self.found.step += 1
        self.found.points[self.found.step] = {
            "time": view.wall_time,
            **view.scalars(),
        }
        self.found.takes.append(view.takes)

    def run_until(self, now):
        while self.now <= now:
            self.look()
            self.now += self.every
        return self.card()

    def card(self, later=0.0):
        last = self.found.points[self.found.step]["time"]
        return card_of(self.found, now=last + later)


def watched(secs_of, num_items=100, **kwargs):
    return Watched(Player(parts(num_items), secs_of, **kwargs))


class TestStatus:
    def test_ok(self):
        card = watched(workers(4, 10.0)).run_until(100.0)
        assert card["status"] == "ok"
        assert "of 100 items are completed, about" in card["verdict"]
        assert card["eta_secs"] == pytest.approx(150.0, rel=0.2)

    def test_at_the_beginning_nothing_is_foretold(self):
        job = watched(workers(4, 10.0))
        job.look()
        card = job.card()
        assert (card["status"], card["eta_secs"]) == ("ok", None)

    def test_done_however_long_ago(self):
        job = watched(workers(4, 10.0), 20)
        card = job.run_until(100.0)
        assert card["status"] == "done"
        assert card["verdict"] == "All 20 items were completed."
        assert job.card(later=1e7)["status"] == "done"

    def test_draining(self):
        job = watched({"worker:0": 10.0, "worker:1": 11.0}, 3)
        job.every = 5.0
        card = job.run_until(15.0)
        assert card["remaining"] == 0
        assert card["status"] == "draining"
        assert card["eta_note"].startswith("tail")

    def test_no_data_is_no_alarm(self):
        job = watched(workers(4, 10.0))
        job.run_until(100.0)
        assert job.card(later=100.0)["status"] == "ok"
        card = job.card(later=3 * 86_400 + 7200)
        assert card["status"] == "no data"
        assert card["verdict"].startswith("No news for 3 d 2 h;")
        assert card["eta_secs"] is None

    def test_stalled(self):
        job = watched({"worker:0": 10.0, "worker:1": 1e6})
        job.run_until(60.0)
        job.player.kill("worker:0", job.now, 1e6)
        card = job.run_until(300.0)
        assert card["status"] == "stalled"
        assert card["verdict"].startswith("Nothing has moved for")
        assert "worker:1" in card["verdict"]

    def test_nobody_takes_anything(self):
        job = watched({})
        card = job.run_until(100.0)
        assert card["status"] == "stalled"
        assert card["verdict"].endswith("nobody takes an item.")

    def test_long_items_are_no_stall(self):
        job = watched(workers(2, 300.0))
        assert job.run_until(250.0)["status"] == "ok"

    def test_given_up_is_always_said(self):
        job = watched(workers(2, 10.0), 4)
        job.run_until(100.0)
        job.found.state["given_up"] = 2
        job.found.state["given_up_names"] = ["a", "b"]
        assert job.card()["verdict"].endswith("2 items GIVEN UP.")


class TestStraggler:
    def test_is_flagged_within_two_item_durations(self):
        job = watched({**workers(4, 20.0), "worker:9": 80.0})
        job.every = 1.0
        while job.now < 300.0:
            job.look()
            job.now += job.every
            if job.card()["status"] == "straggler":
                break
        # It begins at 0.4 s; the others' items take 24 s at most.
        assert job.now <= 2 * 24.0 + 2.0
        slow = [w for w in job.card()["workers"] if w["slow"]]
        assert [w["name"] for w in slow] == ["worker:9"]
        assert job.card()["verdict"].startswith(
            "1 of 5 workers is slow: worker:9 has held clicks/part-"
        )

    def test_stays_flagged_when_it_begins_the_next_item(self):
        job = watched({**workers(4, 20.0), "worker:9": 80.0}, 1000)
        job.run_until(90.0)
        for _ in range(60):
            job.look()
            job.now += job.every
            card = job.card()
            assert card["status"] == "straggler"
            # Somebody else may look slow by chance, but not for long.
            assert any(
                w["slow"] for w in card["workers"] if w["name"] == "worker:9"
            )

    def test_nobody_is_where_all_are_alike(self):
        job = watched(workers(10, 20.0), 1000)
        for _ in range(100):
            job.look()
            job.now += job.every
            assert job.card()["status"] == "ok"

    def test_a_few_milliseconds_say_nothing(self):
        job = watched(workers(2, 0.01), 100_000)
        card = job.run_until(50.0)
        assert card["status"] == "ok"

    def test_comes_first_in_the_timeline(self):
        job = watched({**workers(4, 20.0), "worker:9": 80.0})
        timeline = job.run_until(200.0)["timeline"]
        assert timeline["workers"][0] == {"name": "worker:9", "is_slow": True}


class TestCard:
    def test_a_lost_item_and_its_recovery_are_marked(self):
        job = watched(workers(3, 20.0))
        job.run_until(50.0)
        job.player.kill("worker:1", 55.0, 10.0)
        card = job.run_until(150.0)
        timeline = card["timeline"]
        kinds = {bar[4] for bar in timeline["bars"]}
        assert kinds == {"done", "open", "lost", "again"}
        (lost,) = [bar for bar in timeline["bars"] if bar[4] == "lost"]
        assert timeline["workers"][lost[0]]["name"] == "worker:1"
        (again,) = [bar for bar in timeline["bars"] if bar[4] == "again"]
        assert again[1] == lost[1]
        (worker,) = [w for w in card["workers"] if w["name"] == "worker:1"]
        assert worker["num_starts"] == 2

    def test_rows_add_up(self):
        card = watched(workers(4, 10.0)).run_until(100.0)
        assert (
            sum(w["completed"] for w in card["workers"]) == (card["completed"])
        )
        assert sum(w["share"] for w in card["workers"]) == pytest.approx(1.0)
        last = {tag: column[-1] for tag, column in card["series"].items()}
        assert last["completed"] + last["in_flight"] + last["remaining"] == 100

    def test_workers_stand_in_the_order_of_their_numbers(self):
        timeline = watched(workers(12, 10.0)).run_until(50.0)["timeline"]
        assert [w["name"] for w in timeline["workers"]] == [
            f"worker:{i}" for i in range(12)
        ]

    def test_epochs(self):
        job = watched(workers(4, 10.0), 50, num_epochs=3)
        card = job.run_until(200.0)
        assert card["num_epochs"] == 3
        assert 1 < card["epoch"] < 3


class TestWhatAnybodyMayHaveWritten:
    @pytest.mark.parametrize(
        "state",
        [
            {},
            {"workers": 5, "item_secs": "x", "given_up_names": {}},
            {"workers": [None, {}, {"items": [7, {}]}], "total": -5},
            {"remaining": 1e308, "total": 10**400, "completed": True},
            {"item_secs": [None, 1, 2], "lease_secs": "soon", "time": []},
            {"workers": [{"name": "\ud800", "items": [{"held_secs": 9}]}]},
        ],
    )
    @pytest.mark.parametrize("num_points", [0, 1, 4])
    def test_makes_a_card(self, state, num_points):
        points = {
            step: {"time": 100.0 + step, "completed": float("nan")}
            for step in range(num_points)
        }
        found = Found("run", "q", state, 3, points, [{"takes": [[1]]}])
        card = card_of(found, now=200.0)
        assert isinstance(card["verdict"], str)
        card["verdict"].encode()

    def test_takes(self):
        takes = {
            "time": 100.0,
            "workers": ["a"],
            "takes": [
                [0, "x", 5.0, 2.0, "done"],
                [0, "x", 1.0, 2.0, "lost"],
                [7, "x", 5.0, 2.0, "done"],
                [0, "x", 5.0, 2.0, "<b>"],
                ["0", "x", 5.0, 2.0, "done"],
                None,
            ],
        }
        assert checked_takes(takes) == [
            ["a", "x", 95.0, 98.0, "done", None, None, None],
            ["a", "x", 98.0, 98.0, "lost", None, None, None],
        ]
        assert checked_takes({"takes": [[0, "x", 1, 1, "done"]]}) == []

    def test_long_names_are_cut(self):
        state = checked_state({"workers": [{"name": "x" * 10_000}]})
        assert len(state["workers"][0]["name"]) == 200
