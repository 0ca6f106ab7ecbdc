"""The queue between servers: 1 parameter server, a chief and workers.

All in this process, with a graph and a session for each task. What needs
processes (kill -9, ctrl-C) stands in test_cluster.py.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from collections import Counter

import pytest
import tensorflow as tf

from tests.support.in_process_cluster import Background, InProcessCluster
from tests.support.queues import state_of
from tests.support.sessions import (
    STOP_SECS,
    draw,
    initializers,
    item_of,
    wait_until,
)
from wq_hooks import WorkQueue, WorkQueueHook
from wq_hooks.engines import engine_of
from wq_hooks.engines.graph import engines_in
from wq_hooks.errors import TwoChiefsError, WorkQueueError

tf1 = tf.compat.v1

WORKS = [f"part-{i}" for i in range(12)]
SOURCES = ["take", "dataset", "producer"]


@pytest.fixture(scope="module")
def cluster():
    return InProcessCluster(num_workers=2)


@pytest.fixture
def container():
    """Keeps each test's resources apart from those of the others."""
    return uuid.uuid4().hex


class Player:
    """A task in a thread: builds a queue, then draws when it is told to."""

    def __init__(self, cluster, index, container, works=WORKS, **queue_args):
        self._make = {"works": works, "shuffle": False, **queue_args}
        self._source = self._make.pop("source", "take")
        self._args = (cluster, index, container)
        self.queue = self.session = None
        self._has_started = threading.Event()
        self._may_end = threading.Event()
        self._thread = Background(self._play)
        wait_until(lambda: self._has_started.is_set() or self._thread.is_done)
        if self._thread.is_done:
            self._thread.result()

    def _play(self):
        cluster, index, container = self._args
        with cluster.task(index, container) as task:
            self.queue = WorkQueue(**self._make)
            self._item = item_of(self.queue, self._source)
            self._size = self.queue.size()
            with task.session() as self.session:
                self._has_started.set()
                self._may_end.wait()

    def draw(self, num=None):
        return draw(self.session, self._item, num)

    def size(self):
        return self.session.run(self._size)

    def draw_and_end(self):
        """Draws all, and leaves: then nobody waits for what it holds."""
        names = self.draw()
        assert self.draw() == []
        self.end()
        return names

    def end(self):
        self._may_end.set()
        self._thread.result()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.end()


class TestTwoTasks:
    @pytest.mark.parametrize("source", SOURCES)
    def test_the_union_is_everything_and_both_get_the_end(
        self, cluster, container, source
    ):
        args = {"num_epochs": 3, "shuffle": True, "source": source}
        with (
            Player(cluster, 0, container, **args) as chief,
            Player(cluster, 1, container, **args) as worker,
        ):
            first = [*chief.draw(1), *worker.draw(1)]
            drawing = [Background(p.draw_and_end) for p in (chief, worker)]
            drawn = [thread.result() for thread in drawing]
        assert Counter(first + drawn[0] + drawn[1]) == Counter(WORKS * 3)

    def test_in_order_from_one_task_while_the_other_does_not_ask(
        self, cluster, container
    ):
        with (
            Player(cluster, 0, container),
            Player(cluster, 1, container) as worker,
        ):
            assert worker.draw() == WORKS

    def test_size_is_the_same_everywhere(self, cluster, container):
        with (
            Player(cluster, 0, container, num_epochs=2) as chief,
            Player(cluster, 1, container, num_epochs=2) as worker,
        ):
            chief.draw(2)
            worker.draw(3)
            for player in (chief, worker):
                wait_until(lambda p=player: p.size() == 19)

    def test_a_producer_takes_one_ahead_and_no_second(self, cluster, container):
        with (
            Player(cluster, 0, container) as chief,
            Player(cluster, 1, container, source="producer") as worker,
        ):
            wait_until(lambda: held(chief, "worker:1") == ["part-0"])
            assert chief.draw(1) == ["part-1"]
            assert worker.draw(1) == ["part-0"]
            wait_until(lambda: held(chief, "worker:1") == ["part-0", "part-2"])
            assert chief.draw(1) == ["part-3"]

    def test_a_dataset_takes_none_before_it_is_asked(self, cluster, container):
        with (
            Player(cluster, 0, container) as chief,
            Player(cluster, 1, container, source="dataset") as worker,
        ):
            assert chief.draw(1) == ["part-0"]
            assert held(chief, "worker:1") == []
            assert worker.draw(1) == ["part-1"]
            wait_until(lambda: held(chief, "worker:1") == ["part-1"])
            assert chief.draw(1) == ["part-2"]
            assert held(chief, "worker:1") == ["part-1"]


def held(chief, task):
    """Returns the items that a task holds, as the chief knows."""
    # A session that was just made has no chief yet.
    for worker in state_of(chief.queue).get("workers", ()):
        if worker["name"] == task:
            return [item["text"] for item in worker["items"]]
    return []


class TestTogether:
    def test_the_chief_picks_up_what_a_worker_hands_back(
        self, cluster, container
    ):
        with Player(cluster, 0, container) as chief:
            with Player(cluster, 1, container) as worker:
                (item,) = worker.draw(1)
                drawing = Background(chief.draw)
                wait_until(lambda: held(chief, "worker:1") == [item])
                wait_until(lambda: chief.size() == 0)
                # The chief does not leave as long as somebody holds an item.
                assert not drawing.is_done
            assert drawing.result() == [*WORKS[1:], item]

    def test_a_late_joiner_gets_the_end_after_the_chief_has_gone(
        self, cluster, container
    ):
        with Player(cluster, 0, container) as chief:
            assert chief.draw() == WORKS
        for _ in range(2):
            for source in SOURCES:
                with Player(cluster, 1, container, source=source) as late:
                    assert late.draw() == []

    def test_a_blocked_worker_stops_soon(self, cluster, container):
        """The chief has not come yet."""
        with Player(cluster, 1, container) as worker:
            waiting = Background(worker.draw, 1)
            wait_until(
                lambda: (
                    worker.session.run(
                        engine_of(worker.queue).mailbox.num_reports
                    )
                    >= 1
                )
            )
        with pytest.raises((tf.errors.OpError, AssertionError)):
            waiting.result(STOP_SECS)

    def test_the_works_of_the_chief_count(self, cluster, container, caplog):
        # The worker is there first: it says so as soon as it can know.
        with (
            caplog.at_level(logging.WARNING, logger="absl"),
            Player(
                cluster, 1, container, works=["other"], name="train"
            ) as worker,
            Player(cluster, 0, container, name="train"),
        ):
            assert worker.draw() == WORKS
            wait_until(lambda: "lists 1 works, the chief 12" in caplog.text)

    @pytest.mark.parametrize("is_first", [True, False])
    @pytest.mark.parametrize("source", SOURCES)
    def test_a_queue_without_a_name_takes_no_works_of_another(
        self, cluster, container, source, is_first
    ):
        """The tasks have made theirs in different order."""
        chief = None if is_first else Player(cluster, 0, container)
        with cluster.task(1, container) as task:
            item = item_of(WorkQueue(["other"], shuffle=False), source)
            init = [tf1.tables_initializer()]
            with tf1.Session(task.target, config=task.config) as session:
                session.run(init)
                coord = tf1.train.Coordinator()
                threads = tf1.train.start_queue_runners(session, coord)
                drawing = Background(draw, session, item, 1)
                chief = chief or Player(cluster, 0, container)
                with chief:
                    with pytest.raises(
                        WorkQueueError, match="lists 1 works, the chief 12"
                    ):
                        coord.join(threads, stop_grace_period_secs=60)
                    # Nothing was handed out, and nobody waits for ever.
                    with pytest.raises((tf.errors.OpError, AssertionError)):
                        drawing.result(STOP_SECS)
                    assert chief.draw() == WORKS

    def test_what_an_earlier_job_has_left_is_no_other_queue(
        self, cluster, container
    ):
        """Its chief was killed; ours, with other works, comes last."""
        with cluster.task(0, container) as task:
            WorkQueue(["old"], shuffle=False)
            with tf1.Session(task.target, config=task.config) as session:
                session.run(initializers())
                tf1.train.start_queue_runners(session)
                (engine,) = engines_in(tf1.get_default_graph())
                wait_until(lambda: engine.chief is not None)
                engine.service(session).wait_until_ready()
        with Player(cluster, 1, container) as worker:
            drawing = Background(worker.draw)
            with Player(cluster, 0, container):
                assert drawing.result() == WORKS

    def test_equal_works_are_not_worth_a_word(self, cluster, container, caplog):
        with (
            caplog.at_level(logging.WARNING, logger="absl"),
            Player(cluster, 0, container),
            Player(cluster, 1, container) as worker,
        ):
            assert worker.draw() == WORKS
        assert "lists" not in caplog.text

    def test_two_queues_in_one_job(self, cluster, container):
        def play(index):
            with cluster.task(index, container) as task:
                queues = [
                    WorkQueue(["a", "b"], num_epochs=5, name="first"),
                    WorkQueue(["c", "d", "e"], num_epochs=5, name="second"),
                ]
                fetches = [queue.take() for queue in queues]
                with task.session() as session:
                    is_ready[index].set()
                    for event in is_ready:
                        assert event.wait(60)
                    return [draw(session, fetch) for fetch in fetches]

        is_ready = [threading.Event(), threading.Event()]
        tasks = [Background(play, index) for index in range(2)]
        drawn = list(zip(*(task.result() for task in tasks)))
        assert Counter(drawn[0][0] + drawn[0][1]) == Counter(["a", "b"] * 5)
        assert Counter(drawn[1][0] + drawn[1][1]) == Counter(
            ["c", "d", "e"] * 5
        )

    def test_two_jobs_in_containers_of_their_own(self, cluster, container):
        with (
            Player(cluster, 0, container) as one,
            Player(cluster, 0, f"{container}x", works=["x", "y"]) as other,
        ):
            assert one.draw(3) == WORKS[:3]
            assert other.draw() == ["x", "y"]
            assert one.draw() == WORKS[3:]
            assert other.draw() == []

    def test_two_chiefs(self, cluster, container):
        """The one that comes second ends, and harms nobody."""
        with Player(cluster, 0, container, is_chief=True) as first:
            assert first.draw(1) == WORKS[:1]
            with cluster.task(1, container) as task:
                WorkQueue(WORKS, is_chief=True).take()
                init = initializers()
                with tf1.Session(task.target, config=task.config) as session:
                    session.run(init)
                    coord = tf1.train.Coordinator()
                    threads = tf1.train.start_queue_runners(session, coord)
                    assert coord.wait_for_stop(60)
                    with pytest.raises(TwoChiefsError, match="work_queue"):
                        coord.join(threads)
            assert first.draw() == WORKS[1:]


class TestNextJob:
    """Another job of the same name, on servers that were not restarted."""

    @pytest.mark.parametrize("num_drawn", [None, 2])
    def test_it_begins_at_the_beginning(self, cluster, container, num_drawn):
        for works in (WORKS, ["x", "y", "z"], WORKS):
            with (
                Player(cluster, 0, container, works=works) as chief,
                Player(cluster, 1, container, works=works) as worker,
            ):
                assert worker.draw(num_drawn) == works[:num_drawn]
                if num_drawn:
                    assert chief.draw(1) == works[2:3]

    def test_after_a_chief_that_was_lost(self, cluster, container):
        """Its session is closed, and nobody says goodbye."""
        with cluster.task(0, container) as task:
            item = WorkQueue(WORKS, shuffle=False).take()
            with tf1.Session(task.target, config=task.config) as session:
                session.run(initializers())
                tf1.train.start_queue_runners(session)
                assert draw(session, item, 3) == WORKS[:3]
        with Player(cluster, 0, container) as chief:
            assert chief.draw() == WORKS

    def test_workers_go_on_under_the_next_chief(self, cluster, container):
        with Player(cluster, 1, container) as worker:
            with cluster.task(0, container) as task:
                WorkQueue(WORKS, shuffle=False)
                with tf1.Session(task.target, config=task.config) as session:
                    session.run(initializers())
                    tf1.train.start_queue_runners(session)
                    before = worker.draw(3)
            with Player(cluster, 0, container) as chief:
                # What the first chief did not live to save is done again.
                assert before == WORKS[:3]
                assert chief.draw(1) == WORKS[:1]
                assert worker.draw() == WORKS[1:]

    @pytest.mark.parametrize("source", ["take", "dataset"])
    def test_nothing_is_trained_between_a_restore_and_the_next_chief(
        self, cluster, container, tmp_path, source
    ):
        """It would stay in the restored model, and come once more."""

        @contextlib.contextmanager
        def chief():
            with cluster.task(0, container) as task:
                queue = WorkQueue(WORKS, shuffle=False)
                saver = tf1.train.Saver([engine_of(queue).mailbox.position])
                init = initializers()
                with tf1.Session(task.target, config=task.config) as session:
                    yield queue, saver, init, session

        path = str(tmp_path / "model.ckpt")
        with Player(cluster, 1, container, source=source) as worker:
            with chief() as (_, saver, init, session):
                session.run(init)
                tf1.train.start_queue_runners(session)
                assert worker.draw(3) == WORKS[:3]
                saver.save(session, path)
            with chief() as (queue, saver, _, session):
                saver.restore(session, path)
                drawing = Background(worker.draw, 1)
                num_work = engine_of(queue).mailbox.num_work
                wait_until(
                    lambda: drawing.is_done or session.run(num_work) == 0
                )
                assert not drawing.is_done
                tf1.train.start_queue_runners(session)
                # What was in flight at the save comes first.
                assert drawing.result()[0] in WORKS[:3]


class TestPlacement:
    def devices(self, queue):
        graph = engine_of(queue).graph
        return {
            op.name: op.device
            for op in graph.get_operations()
            if op.type in ("FIFOQueueV2", "VarHandleOp", "MutableHashTableV2")
        }

    def expect(self, queue, shared, local):
        for name, device in self.devices(queue).items():
            is_local = any(
                w in name
                for w in ("numbers", "demand", "answers", "prod", "idle")
            )
            expected = local if is_local else shared
            assert device == f"{expected}/device:CPU:0", name

    def test_where_the_setter_puts_the_variables(self, cluster):
        with cluster.task(1):
            queue = WorkQueue(WORKS)
            queue.take()
            queue.input_producer()
        self.expect(queue, "/job:ps/task:0", "/job:worker/task:1")
        assert not engine_of(queue).role.is_chief

    def test_where_the_script_puts_it(self, cluster, container):
        """As a whole on the parameter server; its readers are here."""

        def play(index):
            target = cluster.task(index)
            with target as task, tf1.device(None), tf1.container(container):
                with tf1.device("/job:ps/task:0"):
                    queue = WorkQueue(WORKS, is_chief=task.is_chief)
                    item = queue.take()
                self.expect(queue, "/job:ps/task:0", "")
                with task.session() as session:
                    is_ready[index].set()
                    for event in is_ready:
                        assert event.wait(60)
                    return draw(session, item)

        is_ready = [threading.Event(), threading.Event()]
        tasks = [Background(play, index) for index in range(2)]
        drawn = [task.result() for task in tasks]
        assert sorted(drawn[0] + drawn[1]) == sorted(WORKS)

    def test_two_parameter_servers_each_hold_a_whole_queue(self):
        spec = {"ps": ["a:1", "b:1"], "worker": ["c:1"]}
        setter = tf1.train.replica_device_setter(cluster=spec)
        with tf.Graph().as_default(), tf1.device(setter):
            for i in range(2):
                queue = WorkQueue(WORKS, name=f"queue_{i}")
                names = self.devices(queue)
                of_queue = {d for n, d in names.items() if f"queue_{i}/" in n}
                assert f"/job:ps/task:{i}/device:CPU:0" in of_queue


class TestMonitored:
    @pytest.mark.parametrize("with_hook", [False, True])
    def test_saved_by_the_chief_and_continued(
        self, cluster, container, tmp_path, with_hook
    ):
        def play(index, last_step):
            with cluster.task(index, container) as task:
                step = tf1.train.get_or_create_global_step()
                item = WorkQueue(WORKS, shuffle=False).take()
                with tf.control_dependencies([item]):
                    stepped = step.assign_add(1)
                hooks = [WorkQueueHook()] if with_hook else []
                if last_step:
                    hooks.append(tf1.train.StopAtStepHook(last_step=last_step))
                if not task.is_chief:
                    assert has_begun.wait(60)
                names = []
                with tf1.train.MonitoredTrainingSession(
                    task.target,
                    is_chief=task.is_chief,
                    checkpoint_dir=str(tmp_path) if task.is_chief else None,
                    config=task.config,
                    hooks=hooks,
                    save_checkpoint_steps=100,
                    save_checkpoint_secs=None,
                    save_summaries_steps=None,
                    log_step_count_steps=None,
                ) as session:
                    has_begun.set()
                    while not session.should_stop():
                        names.append(session.run([item, stepped])[0].decode())
                return names

        has_begun = threading.Event()
        before = play(0, 5)
        assert before == WORKS[:5]
        has_begun.clear()
        tasks = [Background(play, index, None) for index in range(2)]
        after = [task.result() for task in tasks]
        assert sorted(after[0] + after[1]) == sorted(WORKS[4:])

    def test_the_chief_saves_what_others_train_from_their_buffers(
        self, cluster, container, tmp_path
    ):
        """Their items are completed, and most of the steps are to come."""
        num_works = 60

        def play(index):
            with cluster.task(index, container) as task:
                step = tf1.train.get_or_create_global_step()
                queue = WorkQueue([f"part-{i}" for i in range(num_works)])
                dataset = queue.input_dataset()
                if not task.is_chief:
                    dataset = dataset.shuffle(2 * num_works)
                iterator = tf1.data.make_initializable_iterator(dataset)
                tf1.add_to_collection(
                    tf1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer
                )
                with tf.control_dependencies([iterator.get_next()]):
                    stepped = step.assign_add(1)
                with tf1.train.MonitoredTrainingSession(
                    task.target,
                    is_chief=task.is_chief,
                    checkpoint_dir=str(tmp_path) if task.is_chief else None,
                    config=task.config,
                    save_checkpoint_steps=1000,
                    save_checkpoint_secs=None,
                    save_summaries_steps=None,
                    log_step_count_steps=None,
                ) as session:
                    has_begun.set()
                    if task.is_chief:
                        # The worker has taken all of them.
                        assert may_read.wait(60)
                    while not session.should_stop():
                        session.run(stepped)
                        may_read.set()
                        if not task.is_chief:
                            time.sleep(0.02)

        has_begun, may_read = threading.Event(), threading.Event()
        chief = Background(play, 0)
        wait_until(has_begun.is_set)
        worker = Background(play, 1)
        worker.result()
        chief.result()
        saved = tf.train.load_variable(str(tmp_path), "global_step")
        assert saved == num_works
