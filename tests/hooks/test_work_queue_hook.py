"""The hook in sessions of this process."""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections import defaultdict

import pytest
import tensorflow as tf

from tests.support.sessions import items, train
from wq_hooks import WorkQueue, WorkQueueHook
from wq_hooks.core.protocol import messages
from wq_hooks.engines import engine_of
from wq_hooks.errors import WorkQueueError
from wq_hooks.hooks import work_queue_hook
from wq_hooks.runtime.transport import mailbox_session as mailbox

tf1 = tf.compat.v1

WORKS = [f"part-{i}" for i in range(6)]
LEVEL = "work_queue/fraction_of_6_full"


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, logger="absl")
    return caplog


def hook_with(**hook_args):
    return lambda queue, scaffold: WorkQueueHook(**hook_args)


def saved_variables():
    """Returns what a Saver that is told nothing saves."""
    return tf1.global_variables() + tf1.get_collection(
        tf1.GraphKeys.SAVEABLE_OBJECTS
    )


def events_of(directory):
    """Returns {tag: [(step, value), ...]} of all event files."""
    events = defaultdict(list)
    for path in sorted(directory.glob("events.out.tfevents.*")):
        for event in tf1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    events[value.tag].append((event.step, value.simple_value))
    return dict(events)


def position_of(directory):
    path = tf.train.latest_checkpoint(str(directory))
    reader = tf.train.load_checkpoint(path)
    return json.loads(reader.get_tensor("work_queue/position"))["body"]


class TestArguments:
    def test_every_queue_of_the_graph(self):
        queues = [WorkQueue(WORKS, name=name) for name in ("one", "two")]
        WorkQueueHook().begin()
        assert all(engine_of(queue).has_hook for queue in queues)

    @pytest.mark.parametrize("as_list", [False, True])
    def test_the_one_that_is_given(self, as_list):
        one, two = (WorkQueue(WORKS, name=name) for name in ("one", "two"))
        WorkQueueHook([one] if as_list else one).begin()
        assert engine_of(one).has_hook
        assert not engine_of(two).has_hook

    def test_no_queue(self):
        with pytest.raises(WorkQueueError, match="none"):
            WorkQueueHook().begin()

    def test_a_queue_of_another_graph(self):
        with tf.Graph().as_default():
            queue = WorkQueue(WORKS, name="elsewhere")
        with pytest.raises(ValueError, match="elsewhere"):
            WorkQueueHook(queue).begin()

    @pytest.mark.parametrize("wrong", ["work_queue", [1], 7])
    def test_what_is_no_queue(self, wrong):
        with pytest.raises(TypeError, match="work_queue"):
            WorkQueueHook(wrong)

    def test_neither_steps_nor_seconds(self):
        with pytest.raises(ValueError, match="every_n"):
            WorkQueueHook(every_n_secs=None)

    def test_who_is_the_chief_can_be_said(self):
        queue = WorkQueue(WORKS)
        WorkQueueHook(is_chief=False).begin()
        assert not engine_of(queue).role.is_chief

    def test_keyword_only(self):
        with pytest.raises(TypeError):
            WorkQueueHook(None, 10)


class TestSummaries:
    def test_tags_and_values(self, tmp_path):
        train(WORKS, hook_of=hook_with(every_n_steps=1, summary_dir=tmp_path))
        events = events_of(tmp_path)
        assert set(events) == {
            LEVEL,
            "work_queue/completed",
            "work_queue/epoch",
            "work_queue/given_up",
            "work_queue/in_flight",
            "work_queue/item_secs/p10",
            "work_queue/item_secs/p50",
            "work_queue/item_secs/p90",
            "work_queue/items_per_sec",
            "work_queue/low_watermark",
            "work_queue/oldest_in_flight_secs",
            "work_queue/remaining",
            "work_queue/repeated",
        }
        steps = [step for step, _ in events[LEVEL]]
        # After each step, and at the end.
        assert steps == [1, 2, 3, 4, 5, 6, 6]
        levels = [value for _, value in events[LEVEL]]
        assert levels == sorted(levels, reverse=True)
        assert levels[-1] == 0.0
        for i, (_, remaining) in enumerate(events["work_queue/remaining"]):
            others = [
                events[f"work_queue/{tag}"][i][1]
                for tag in ("in_flight", "completed")
            ]
            assert remaining + sum(others) == 6
            assert levels[i] == pytest.approx(remaining / 6)
        assert events["work_queue/given_up"][-1][1] == 0

    def test_beside_the_checkpoints_with_the_tag_of_deeprec_once(
        self, tmp_path
    ):
        train(
            WORKS,
            directory=tmp_path,
            before=lambda queue: queue.add_summary(),
            hook_of=hook_with(every_n_steps=1),
            save_summaries_steps=1,
        )
        events = events_of(tmp_path)
        steps = [step for step, _ in events[LEVEL]]
        assert steps == sorted(set(steps))
        assert len(steps) >= 5
        steps = [step for step, _ in events["work_queue/completed"]]
        assert steps == [1, 2, 3, 4, 5, 6, 6]

    def test_steps_do_not_go_backwards_over_a_resume(self, tmp_path):
        run = {"directory": tmp_path, "hook_of": hook_with(every_n_steps=2)}
        train(WORKS, last_step=4, **run)
        # The fourth item is left, and the two behind it.
        assert len(train(WORKS, **run)) == 3
        train(WORKS, **run)
        steps = [s for s, _ in events_of(tmp_path)["work_queue/completed"]]
        assert steps == sorted(steps)
        assert steps[-1] in (7, 8)

    def test_a_run_without_a_step_reports_at_the_step_it_stands_at(
        self, tmp_path
    ):
        run = {"directory": tmp_path, "save_checkpoint_steps": 100}
        train(WORKS, hook_of=hook_with(), **run)
        summaries = tmp_path / "summaries"
        assert (
            train(WORKS, hook_of=hook_with(summary_dir=summaries), **run) == []
        )
        assert events_of(summaries)["work_queue/remaining"] == [(6, 0.0)]

    def test_without_end_there_is_no_remaining(self, tmp_path):
        train(
            WORKS,
            last_step=8,
            queue_args={"num_epochs": None},
            hook_of=hook_with(every_n_steps=4, summary_dir=str(tmp_path)),
        )
        events = events_of(tmp_path)
        assert "work_queue/remaining" not in events
        assert LEVEL in events

    def test_one_hook_for_a_second_run_begins_anew(self, tmp_path):
        hook = WorkQueueHook(every_n_steps=1, summary_dir=str(tmp_path))
        for _ in range(2):
            train(WORKS, hooks=[hook])
        steps = [s for s, _ in events_of(tmp_path)["work_queue/completed"]]
        assert steps == [1, 2, 3, 4, 5, 6, 6] * 2


class TestLog:
    def lines(self, log):
        return [
            re.search(r"(\d+) of \w+ items completed", record.getMessage())
            for record in log.records
            if "items completed, " in record.getMessage()
        ]

    def test_every_n_steps(self, log):
        train(WORKS, hook_of=hook_with(every_n_steps=3))
        assert len(self.lines(log)) == 3  # steps 1 and 4, and the end
        assert "6 of 6 items completed" in log.text

    def test_every_n_secs(self, log):
        train(WORKS, hook_of=hook_with(every_n_secs=3600))
        assert len(self.lines(log)) == 2  # the first step, and the end

    def test_where_the_queue_starts(self, log, tmp_path):
        run = {"directory": tmp_path, "save_checkpoint_steps": 100}
        train(WORKS, last_step=2, hook_of=hook_with(), **run)
        assert "6 works, in order, 1 epochs; from the beginning" in log.text
        train(WORKS, hook_of=hook_with(), **run)
        assert "resumed: 1 of 6 items completed, 1 were in flight" in log.text


class TestOlderCheckpoints:
    """Such as were written before the queue was added."""

    @pytest.mark.parametrize(
        "saver",
        [
            None,
            lambda: tf1.train.Saver(sharded=True),
            lambda: tf1.train.Saver(defer_build=True),
            lambda: tf1.train.Saver(saved_variables()),
            lambda: tf1.train.Saver({v.op.name: v for v in saved_variables()}),
        ],
        ids=["default", "sharded", "deferred", "listed", "named"],
    )
    @pytest.mark.parametrize("hook", [False, True])
    def test_restore_and_the_queue_starts_fresh(
        self, tmp_path, saver, hook, log
    ):
        train(None, directory=tmp_path, last_step=3, saver=saver)
        run = {
            "directory": tmp_path,
            "saver": saver,
            "hooks": [WorkQueueHook()] if hook else [],
            "save_checkpoint_steps": 100,
        }
        steps = train(WORKS, last_step=5, **run)
        assert steps == [("part-0", 4), ("part-1", 5)]
        assert "before the queue was added" in log.text
        log.clear()
        assert items(train(WORKS, **run)) == WORKS[1:]
        assert "before the queue was added" not in log.text

    def test_a_saver_of_some_variables_restores_those(self, tmp_path):
        """The others are not in its checkpoints."""

        def play(works):
            with tf.Graph().as_default():
                step = tf1.train.get_or_create_global_step()
                not_saved = tf1.get_variable("not_saved", [2])
                variables = [step]
                item = tf.constant("")
                if works:
                    queue = WorkQueue(works, shuffle=False)
                    variables.append(engine_of(queue).mailbox.position)
                    item = queue.take()
                scaffold = tf1.train.Scaffold(
                    saver=tf1.train.Saver(variables),
                    ready_for_local_init_op=tf.constant([], tf.string),
                    local_init_op=not_saved.initializer,
                )
                hooks = [tf1.train.StopAtStepHook(num_steps=2)]
                if works:
                    hooks.append(WorkQueueHook())
                stepped = step.assign_add(1)
                with tf1.train.MonitoredTrainingSession(
                    checkpoint_dir=str(tmp_path),
                    hooks=hooks,
                    scaffold=scaffold,
                    save_summaries_steps=None,
                    log_step_count_steps=None,
                ) as session:
                    while not session.should_stop():
                        results.append(session.run([item, stepped]))

        results = []
        play(None)
        play(WORKS)
        assert results[2:] == [[b"part-0", 3], [b"part-1", 4]]

    def test_a_second_queue_does_not_set_the_first_one_back(self, tmp_path):
        def play(names):
            with tf.Graph().as_default():
                step = tf1.train.get_or_create_global_step()
                fetches = [
                    WorkQueue(WORKS, shuffle=False, name=name).take()
                    for name in names
                ]
                with tf.control_dependencies(fetches):
                    stepped = step.assign_add(1)
                with tf1.train.MonitoredTrainingSession(
                    checkpoint_dir=str(tmp_path),
                    hooks=[
                        WorkQueueHook(),
                        tf1.train.StopAtStepHook(num_steps=3),
                    ],
                    save_summaries_steps=None,
                    log_step_count_steps=None,
                ) as session:
                    drawn = []
                    while not session.should_stop():
                        drawn.append(session.run([*fetches, stepped])[:-1])
                    return drawn

        assert play(["one"]) == [[b"part-0"], [b"part-1"], [b"part-2"]]
        assert play(["one", "two"]) == [
            [b"part-2", b"part-0"],
            [b"part-3", b"part-1"],
            [b"part-4", b"part-2"],
        ]


class TestLastItems:
    """Whether the readers are through with what they got last."""

    def read(self, *, last_step=None, error_at=None, with_hook=True):
        def fail(queue, item):
            if item == error_at:
                raise ArithmeticError(item)

        with contextlib.suppress(ArithmeticError):
            train(
                WORKS,
                source="producer",
                last_step=last_step,
                step_hook=fail,
                hook_of=hook_with() if with_hook else None,
            )

    @pytest.mark.parametrize("with_hook", [False, True])
    def test_at_the_end_of_data_they_are(self, monkeypatch, with_hook):
        claims = completions(monkeypatch)
        self.read(with_hook=with_hook)
        assert claims[-1] == 5

    def test_at_a_stop_before_it_they_are_not(self, monkeypatch):
        claims = completions(monkeypatch)
        self.read(last_step=6)
        assert 5 not in claims

    def test_after_an_error_they_are_not(self, monkeypatch):
        claims = completions(monkeypatch)
        self.read(error_at="part-5")
        assert 5 not in claims


def completions(monkeypatch):
    """Records the tickets that are said to be completed, but for questions."""
    report = mailbox.MailboxSession.report
    tickets = []

    def recording(self, said, timeout_secs=0.0):
        if said.kind in (messages.ACK, messages.THROUGH, messages.LEAVE):
            tickets.extend(claim.ticket for claim in said.claims)
        report(self, said, timeout_secs)

    monkeypatch.setattr(mailbox.MailboxSession, "report", recording)
    return tickets


class TestStops:
    """Who waits for an item ends with the session."""

    def test_an_error_in_a_step_is_the_one_that_is_seen(self):
        def fail(queue, item):
            raise ArithmeticError(item)

        with pytest.raises(ArithmeticError, match="part-0"):
            train(WORKS, step_hook=fail, hook_of=hook_with())

    def test_the_loop_may_end_early(self):
        steps = train(
            WORKS,
            num_steps=2,
            queue_args={"num_epochs": None},
            hook_of=hook_with(),
        )
        assert items(steps) == WORKS[:2]

    def test_final_position_after_the_end(self, tmp_path):
        train(
            WORKS,
            directory=tmp_path,
            save_checkpoint_steps=100,
            hook_of=hook_with(),
        )
        position = position_of(tmp_path)
        assert (position["next_ticket"], position["outstanding"]) == (6, [])


class TestProgressBar:
    def test_is_updated_and_closed(self, monkeypatch):
        seen = []

        class FakeBar:
            def update(self, progress):
                seen.append(progress.completed)

            def close(self):
                seen.append("closed")

        monkeypatch.setattr(work_queue_hook, "new_bar", lambda name: FakeBar())
        train(WORKS, hook_of=hook_with(progress_bar=True))
        assert seen[-2:] == [6, "closed"]

    def test_there_is_none_unless_it_is_asked_for(self, monkeypatch):
        monkeypatch.setattr(work_queue_hook, "new_bar", lambda name: 1 / 0)
        train(WORKS, hook_of=hook_with())

    def test_where_there_is_no_terminal(self, monkeypatch):
        asked = []
        monkeypatch.setattr(work_queue_hook, "new_bar", asked.append)
        train(WORKS, hook_of=hook_with(progress_bar=True))
        assert asked == ["work_queue"]


def test_after_a_restore_the_curves_go_on_at_the_restored_step(tmp_path):
    logs = tmp_path / "logs"
    for num_epochs in (1, 2):
        train(
            WORKS,
            directory=tmp_path,
            queue_args={"num_epochs": num_epochs},
            # So often that it reports before the first step is through.
            hook_of=hook_with(every_n_secs=0.001, summary_dir=logs),
        )
    events = events_of(logs)["work_queue/completed"]
    steps = [step for step, _ in events]
    assert steps == sorted(steps)
    assert events[-1] == (12, 12)
