from __future__ import annotations

import pytest

from wq_hooks.core.monitoring.checked_state import checked_state
from wq_hooks.tensorboard_plugin import items
from wq_hooks.tensorboard_plugin.reading import Found

STATE = {
    "time": 200.0,
    "item_secs": [1.0, 2.0, 3.0],
    "given_up_names": ["poison"],
    "workers": [
        {"name": "worker:1", "items": [{"text": "p/2", "held_secs": 30.0}]}
    ],
}


def found_with(*rows, num=None):
    takes = {
        "time": 150.0,
        "workers": ["worker:0", "worker:1"],
        "num": len(rows) if num is None else num,
        "takes": [list(row) for row in rows],
        "open": [],
    }
    return Found("run", "q", STATE, takes=[takes])


FOUND = found_with(
    (0, "p/1", 50.0, 40.0, "done", 100, 6.0, 4.0),
    (0, "p/2", 40.0, 30.0, "lost"),
    (1, "p/10", 20.0, 10.0, "lost"),
    num=9,
)


class TestSlowest:
    def test_the_slowest_first_also_what_is_still_held(self):
        state = checked_state(STATE)
        bars = [
            ["worker:0", "a", 0.0, 5.0, "done", 10, 3.0, 2.0],
            ["worker:0", "b", 5.0, 105.0, "lost", None, None, None],
            *items.open_bars(state),
        ]
        slowest = items.slowest_of(bars, state)
        assert [(s["item"], s["secs"], s["times"]) for s in slowest] == [
            ("p/2", 30.0, 15.0),
            ("a", 5.0, 2.5),
        ]
        assert (slowest[0]["ended"], slowest[0]["kind"]) == (None, "open")
        assert slowest[1]["wait_secs"] == 2.0

    def test_no_more_than_a_person_reads(self):
        bars = [
            ["w", str(i), 0.0, float(i), "done", None, None, None]
            for i in range(100)
        ]
        slowest = items.slowest_of(bars, checked_state({}))
        assert len(slowest) == items.MAX_SLOWEST
        assert slowest[0]["item"] == "99"
        assert slowest[0]["times"] is None


class TestFound:
    def test_where_it_is_who_had_it_and_how_often(self):
        answer = items.found_items(FOUND, "p/2")
        (item,) = answer["items"]
        assert (item["where"], item["worker"]) == ("in flight", "worker:1")
        assert item["num_takes"] == 2
        assert item["takes"] == [
            ["worker:1", 170.0, None, "open", None, None, None],
            ["worker:0", 110.0, 120.0, "lost", None, None, None],
        ]
        assert answer["note"] == ""

    @pytest.mark.parametrize(
        ("text", "where"),
        [
            ("p/10", "waiting"),
            ("poison", "given up"),
            ("p/2", "in flight"),
        ],
    )
    def test_its_place(self, text, where):
        answer = items.found_items(FOUND, text)
        assert [item["where"] for item in answer["items"]] == [where]

    def test_one_of_exactly_this_name_comes_first(self):
        answer = items.found_items(FOUND, "p/1")
        assert [item["item"] for item in answer["items"]] == ["p/1", "p/10"]
        assert answer["items"][0]["where"] == "completed"
        assert answer["items"][0]["takes"][0][4:] == [100, 6.0, 4.0]

    def test_nothing_of_this_name(self):
        answer = items.found_items(FOUND, "P/1")
        assert (answer["num_found"], answer["items"]) == (0, [])
        assert "3 of 9 takes" in answer["note"]

    def test_the_answer_is_bounded(self):
        rows = [(0, f"part-{i}", 5.0, 4.0, "done") for i in range(300)]
        rows += [(0, "part-0", 3.0, 2.0, "lost")] * 50
        answer = items.found_items(found_with(*rows), "part-")
        assert (answer["num_found"], answer["is_cut"]) == (300, True)
        assert len(answer["items"]) == items.MAX_FOUND
        first = answer["items"][0]
        assert (first["item"], first["num_takes"]) == ("part-0", 51)
        assert len(first["takes"]) == items.MAX_TAKES

    @pytest.mark.parametrize("row", [[], [0], [0, None, 1, 1, "done"], "x", 7])
    def test_rubbish_is_left_out(self, row):
        found = Found("run", "q", {}, takes=[{"takes": [row], "open": [row]}])
        assert items.found_items(found, "a")["items"] == []
