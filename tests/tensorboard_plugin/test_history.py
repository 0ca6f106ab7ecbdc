from __future__ import annotations

import json

import pytest

from wq_hooks.core.monitoring.checked_state import checked_state
from wq_hooks.tensorboard_plugin import history

STATE = checked_state({"since": 500.0, "item_secs": [1.0, 2.0, 3.0]})


def points_at(*times, **values):
    return [
        {
            "time": float(t),
            "step": int(t) * 10,
            "completed": float(t),
            "in_flight": 1.0,
            **values,
        }
        for t in times
    ]


class TestGaps:
    def test_a_job_that_runs_has_none(self):
        points = points_at(*range(0, 600, 10))
        assert history.gaps_of(points, [0.0], STATE) == []

    def test_none_of_no_points(self):
        assert history.gaps_of([], [0.0, 500.0], STATE) == []

    def test_it_was_dead_until_the_next_chief_began(self):
        points = points_at(0, 10, 20, 30, 505, 515)
        assert history.gaps_of(points, [0.0, 500.0], STATE) == [
            [30.0, 505.0, "dead"]
        ]

    def test_a_short_pause_is_one_too(self):
        points = points_at(0, 10, 20, 30)
        assert history.gaps_of(points, [0.0, 20.2], STATE) == [
            [10.0, 20.0, "dead"]
        ]

    def test_nothing_was_written(self):
        points = points_at(0, 10, 20, 30, 900, 910)
        assert history.gaps_of(points, [0.0], STATE) == [
            [30.0, 900.0, "silent"]
        ]

    def test_it_stood_still(self):
        points = [
            *points_at(0, 10, 20),
            *points_at(*range(30, 200, 10), completed=30.0),
            *points_at(200, 210),
        ]
        assert history.gaps_of(points, [0.0], STATE) == [
            [30.0, 190.0, "stalled"]
        ]
        trains = [{**point, "records_per_sec": 5.0} for point in points]
        assert history.gaps_of(trains, [0.0], STATE) == []

    def test_what_is_done_does_not_stand_still(self):
        points = points_at(
            *range(0, 600, 10), completed=9.0, in_flight=0.0, remaining=0.0
        )
        assert history.gaps_of(points, [0.0], STATE) == []

    def test_points_of_a_sample_are_uneven(self):
        times = [10.0 * i + (100.0 * (i > 500)) for i in range(1000)]
        points = points_at(*times)
        assert history.gaps_of(points, [], STATE) == []


class TestBegins:
    def test_each_chief_once(self):
        takes = [{"since": 100.0}, {"since": 100.1}, {"since": None}, {}]
        assert history.begins_of(takes, STATE) == [100.0, 500.0]

    def test_of_an_old_log(self):
        assert history.begins_of([{}], {"since": None}) == []


class TestBars:
    def takes(self, time, since, **values):
        return {
            "time": time,
            "since": since,
            "workers": ["worker:0"],
            "takes": [],
            "open": [],
            **values,
        }

    def test_what_was_in_flight_when_all_were_killed_was_lost(self):
        first = self.takes(
            100.0,
            10.0,
            takes=[[0, "a", 9.0, 5.0, "done", 100, 3.0, 1.0]],
            open=[[0, "b", 5.0]],
        )
        second = self.takes(600.0, 500.0, open=[[0, "c", 1.0]])
        for takes in ([first, second], [second, first], [first]):
            assert history.bars_of(takes, STATE, 99) == [
                ["worker:0", "a", 91.0, 95.0, "done", 100, 3.0, 1.0],
                ["worker:0", "b", 95.0, 100.0, "lost", None, None, None],
            ]

    def test_while_the_same_chief_goes_on_nothing_was_lost(self):
        takes = [
            self.takes(time, 500.0, open=[[0, "b", 5.0]])
            for time in (510.0, 520.0)
        ]
        assert history.bars_of(takes, STATE, 99) == []

    def test_the_last_ones(self):
        takes = [
            self.takes(t, 500.0, takes=[[0, str(t), 1.0, 0.0, "done"]])
            for t in (510.0, 520.0, 530.0)
        ]
        bars = history.bars_of(takes, STATE, 2)
        assert [bar[1] for bar in bars] == ["520.0", "530.0"]

    @pytest.mark.parametrize(
        "rubbish",
        [
            {},
            {"time": "x", "since": [], "open": 7, "takes": {}},
            {"time": 1.0, "workers": [], "open": [[0, "a", 1], 3]},
            {"time": 1.0, "workers": ["w"], "takes": [[0, "a", 1, 1, "x"]]},
        ],
    )
    def test_rubbish_is_left_out(self, rubbish):
        assert history.bars_of([rubbish], STATE, 9) == []


class TestEvents:
    def written(self, *rows, time=100.0):
        return json.loads(json.dumps({"time": time, "events": rows}))

    def test_the_newest_first_with_their_steps(self):
        events, num = history.events_of(
            [
                self.written(
                    [60.0, "resumed", "", "", "Resumed: 3 of 8."],
                    [15.0, "lost", "worker:0", "", "It was lost."],
                ),
                self.written([0.0, "done", "", "", "Done."], time=200.0),
            ],
            points_at(50, 80, 90),
        )
        assert num == 3
        assert [(e["time"], e["what"], e["step"]) for e in events] == [
            (200.0, "done", 900),
            (85.0, "lost", 800),
            (40.0, "resumed", 500),
        ]
        assert events[-1]["text"] == "Resumed at step 500: 3 of 8."

    def test_without_points(self):
        events, _ = history.events_of(
            [self.written([0.0, "done", "", "", "Done."])], []
        )
        assert events[0]["step"] is None

    def test_no_more_than_a_person_reads(self):
        rows = [[float(i), "lost", "w", "", "t"] for i in range(300)]
        events, num = history.events_of([self.written(*rows)], [])
        assert (len(events), num) == (history.MAX_EVENTS, 300)
        assert events[0]["time"] == 100.0

    @pytest.mark.parametrize(
        "row", [[], "x", [0, "hacked", "", "", ""], [0, "lost", "w", ""]]
    )
    def test_rubbish_is_left_out(self, row):
        assert history.events_of([self.written(row)], []) == ([], 0)
        assert history.events_of([{}], []) == ([], 0)
