"""The queue in one process, on local sessions."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import threading
import time
import weakref
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from tests.support.in_process_cluster import Background
from tests.support.queues import state_of
from tests.support.sessions import (
    STOP_SECS,
    draw,
    element_of,
    initializers,
    item_of,
    items,
    raw_session,
    running,
    train,
    wait_until,
)
from wq_hooks import WorkQueue, WorkQueueHook
from wq_hooks.engines import engine_of
from wq_hooks.errors import SnapshotError, WorkQueueError

tf1 = tf.compat.v1

# As in DeepRec's own tests: duplicates are separate items.
WORKS = ["path/a", "path/b", "path/a", "path/c", "path/d", "path/b"]
SOURCES = ["take", "dataset", "producer"]
MANY = [f"part-{i:05d}" for i in range(100_000)]


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def draw_all(works=WORKS, source="take", **queue_args):
    """Returns all items of a queue in a graph and session of its own."""
    with tf.Graph().as_default():
        item = item_of(WorkQueue(works, **queue_args), source)
        with raw_session() as session:
            return draw(session, item)


def wait_for(queue, **expected):
    """Waits until the chief's account says so."""
    wait_until(lambda: expected.items() <= state_of(queue).items())


def position_of(directory, name="work_queue"):
    """Returns the inside of the snapshot in the newest checkpoint."""
    path = tf.train.latest_checkpoint(str(directory))
    reader = tf.train.load_checkpoint(path)
    return json.loads(reader.get_tensor(f"{name}/position"))["body"]


@contextlib.contextmanager
def control_flow(*, is_v2):
    was_v2 = tf1.control_flow_v2_enabled()
    (tf1.enable_control_flow_v2 if is_v2 else tf1.disable_control_flow_v2)()
    try:
        yield
    finally:
        (
            tf1.enable_control_flow_v2
            if was_v2
            else tf1.disable_control_flow_v2
        )()


def in_place(place, item):
    """Returns a tensor of items that are asked for in one of these places."""
    if place == "cond":
        is_wanted = tf1.placeholder_with_default(True, [])
        return tf.cond(is_wanted, item, lambda: tf.constant(""))
    if place == "while_loop":
        return tf.while_loop(
            lambda i, _: i < 2,
            lambda i, items: (i + 1, tf.concat([items, [item()]], 0)),
            [tf.constant(0), tf.zeros([0], tf.string)],
            shape_invariants=[tf.TensorShape([]), tf.TensorShape([None])],
            parallel_iterations=1,
        )[1]
    if place == "map_fn":
        return tf.map_fn(
            lambda _: item(), tf.range(3), fn_output_signature=tf.string
        )
    if place == "function":
        return tf.function(item)()
    return element_of(
        tf1.data.Dataset.from_tensors(0).repeat().map(lambda _: item())
    )


class TestOrder:
    """DeepRec's behaviour, as its own tests have it."""

    def test_dequeue_many_from_the_producer_then_the_end(self):
        queue = WorkQueue(WORKS, num_epochs=3, shuffle=False)
        names = queue.input_producer().dequeue_many(18)
        with raw_session() as session:
            drawn = session.run(names).astype(str).tolist()
            assert drawn == [[work] for work in WORKS * 3]
            for _ in range(3):
                with pytest.raises(tf.errors.OutOfRangeError):
                    session.run(names)

    @pytest.mark.parametrize("source", SOURCES)
    def test_each_epoch_comes_as_listed_then_the_end(self, source):
        queue = WorkQueue(WORKS, num_epochs=3, shuffle=False)
        item = item_of(queue, source)
        with raw_session() as session:
            assert draw(session, item) == WORKS * 3
            for _ in range(3):
                with pytest.raises(tf.errors.OutOfRangeError):
                    session.run(item)

    def test_an_iterator_made_anew_after_the_end_is_at_the_end(self):
        dataset = WorkQueue(WORKS, shuffle=False).input_dataset()
        iterator = tf1.data.make_initializable_iterator(dataset)
        item = iterator.get_next()
        with raw_session() as session:
            for expected in (WORKS, [], []):
                session.run(iterator.initializer)
                assert draw(session, item) == expected

    @pytest.mark.parametrize("source", SOURCES)
    def test_shuffled_epochs_are_whole_and_differ(self, source):
        works = [f"part-{i}" for i in range(12)]
        drawn = draw_all(works, source, num_epochs=4)
        epochs = [drawn[i : i + 12] for i in range(0, 48, 12)]
        assert all(sorted(epoch) == sorted(works) for epoch in epochs)
        assert len({tuple(epoch) for epoch in [works, *epochs]}) == 5

    def test_shuffled_duplicates_stay(self):
        assert Counter(draw_all(num_epochs=3)) == Counter(WORKS * 3)

    def test_a_seed_makes_the_order_reproducible(self):
        works = [f"part-{i}" for i in range(30)]
        args = {"works": works, "num_epochs": 2}
        assert draw_all(**args, seed=3) == draw_all(**args, seed=3)
        assert draw_all(**args, seed=3) != draw_all(**args, seed=4)
        assert draw_all(**args) != draw_all(**args)

    def test_num_slices_leaves_plain_files_whole(self):
        assert draw_all(num_slices=100, shuffle=False) == WORKS

    def test_a_prefix_is_joined_in_front(self):
        queue = WorkQueue(["a ", b"b\n"], prefix="hdfs://x/", shuffle=False)
        item = queue.take()
        assert queue.works == ["a", "b"]
        with raw_session() as session:
            assert draw(session, item) == ["hdfs://x/a", "hdfs://x/b"]

    def test_without_end(self):
        queue = WorkQueue(WORKS, num_epochs=None, shuffle=False)
        item, size = queue.take(), queue.size()
        with raw_session() as session:
            assert draw(session, item, 20) == (WORKS * 4)[:20]
            assert session.run(size) == -1

    def test_the_producer_without_end_stops(self):
        queue = WorkQueue(WORKS, num_epochs=None, shuffle=False)
        names = queue.input_producer().dequeue_many(60)
        with raw_session() as session:
            drawn = session.run(names).astype(str).ravel().tolist()
            assert drawn == WORKS * 10

    @pytest.mark.parametrize("source", SOURCES)
    def test_a_single_work(self, source):
        assert draw_all(["only"], source, num_epochs=3) == ["only"] * 3

    def test_works_that_are_not_utf8(self):
        works = [b"\xff\xfe", "ü".encode()]
        item = WorkQueue(works, shuffle=False).take()
        with raw_session() as session:
            assert [session.run(item), session.run(item)] == works

    def test_consumers_of_one_task_share_the_items(self):
        queue = WorkQueue(WORKS, shuffle=False)
        first, second = queue.take(), queue.take()
        with raw_session() as session:
            taken = [session.run(first), session.run(second)]
            assert taken == [b"path/a", b"path/b"]
            assert draw(session, second) == WORKS[2:]
            with pytest.raises(tf.errors.OutOfRangeError):
                session.run(first)

    def test_a_consumer_that_does_not_read_takes_none(self):
        queue = WorkQueue(WORKS, shuffle=False)
        item = queue.take()
        queue.take()
        queue.input_dataset()
        with raw_session() as session:
            assert draw(session, item) == WORKS

    def test_the_end_waits_for_nobody_who_reads_here(self):
        """Two readers in two threads; both meet the end."""
        queue = WorkQueue(WORKS, num_epochs=5)
        fetches = [queue.take(), item_of(queue, "dataset")]
        with raw_session() as session:
            threads = [Background(draw, session, fetch) for fetch in fetches]
            drawn = [thread.result() for thread in threads]
        assert Counter(drawn[0] + drawn[1]) == Counter(WORKS * 5)


class TestArguments:
    @pytest.mark.parametrize(
        ("args", "error"),
        [
            ({"works": []}, ValueError),
            ({"works": ()}, ValueError),
            ({"works": [" "]}, ValueError),
            ({"works": ["a", 1]}, TypeError),
            ({"works": [None]}, TypeError),
            ({"works": "a.csv"}, TypeError),
            ({"works": None}, TypeError),
            ({"works": {"a", "b"}}, TypeError),
            ({"num_epochs": 0}, ValueError),
            ({"num_epochs": 1.5}, TypeError),
            ({"shuffle": "yes"}, TypeError),
            ({"seed": "x"}, TypeError),
            ({"prefix": 3}, TypeError),
            ({"num_slices": 0}, ValueError),
            ({"name": "a b"}, ValueError),
            ({"name": 3}, TypeError),
            ({"num_clients": 0}, ValueError),
            ({"ack": "never"}, ValueError),
            ({"is_chief": 1}, TypeError),
            ({"lease_secs": 0}, ValueError),
            ({"max_attempts": 0}, ValueError),
        ],
    )
    def test_bad_ones_are_refused_by_name(self, graph, args, error):
        (name,) = args
        with pytest.raises(error, match="work" if name == "works" else name):
            WorkQueue(**{"works": WORKS, **args})
        assert graph.get_operations() == []

    def test_the_documented_order(self):
        queue = WorkQueue(WORKS, 2, False, 7, "x/", None, "mine")
        assert (queue.name, len(queue)) == ("mine", 6)
        item = queue.take()
        with raw_session() as session:
            assert draw(session, item) == [f"x/{w}" for w in WORKS * 2]

    def test_two_queues_of_one_name(self):
        WorkQueue(WORKS, name="mine")
        with pytest.raises(ValueError, match="mine"):
            WorkQueue(WORKS, name="mine")
        with tf.Graph().as_default():
            WorkQueue(WORKS, name="mine")

    def test_eager_mode(self):
        # A new thread has no default graph; see test_eager.
        queue = Background(WorkQueue, WORKS).result()
        assert engine_of(queue).mode == "eager"
        queue.close()

    def test_another_graph(self):
        queue = WorkQueue(WORKS)
        with tf.Graph().as_default():
            for source in SOURCES:
                with pytest.raises(ValueError, match="graph"):
                    item_of(queue, source)

    def test_what_it_says_of_itself(self):
        queue = WorkQueue([" a", b"b ", "a"], num_epochs=3, name="mine")
        assert len(queue) == 3
        assert queue.works == ["a", "b", "a"]
        assert "mine" in repr(queue)
        assert "WorkQueue" in str(type(queue))

    def test_the_tensors(self):
        queue = WorkQueue(WORKS)
        assert (queue.take().dtype, queue.take().shape) == (tf.string, [])
        spec = queue.input_dataset().element_spec
        assert (spec.dtype, spec.shape) == (tf.string, [])
        producer = queue.input_producer()
        assert producer.dtypes == [tf.string]
        assert producer.shapes == [[1]]
        assert isinstance(producer, tf.queue.FIFOQueue)
        assert (queue.size().dtype, queue.size().shape) == (tf.int64, [])
        assert queue.add_summary() is None


class TestSize:
    def test_it_counts_down(self):
        queue = WorkQueue(WORKS, num_epochs=2, shuffle=False)
        item, size = queue.take(), queue.size()
        with raw_session() as session:
            # Also before the ledger has begun.
            assert session.run(size) == 12
            for remaining in (11, 10, 9):
                session.run(item)
                wait_until(lambda n=remaining: session.run(size) == n)
            assert len(draw(session, item)) == 9
            wait_until(lambda: session.run(size) == 0)

    def test_the_summary_of_deeprec(self):
        queue = WorkQueue(WORKS, num_epochs=3, shuffle=False)
        queue.add_summary()
        item, merged = queue.take(), tf1.summary.merge_all()

        def level(session):
            (value,) = tf1.Summary.FromString(session.run(merged)).value
            assert value.tag == "work_queue/fraction_of_6_full"
            return value.simple_value

        with raw_session() as session:
            assert level(session) == 3.0
            draw(session, item, 3)
            wait_until(lambda: level(session) == 2.5)
            draw(session, item)
            wait_until(lambda: level(session) == 0.0)


class TestAcknowledgement:
    @pytest.mark.parametrize("source", ["take", "dataset"])
    def test_at_the_next_take(self, source):
        queue = WorkQueue(WORKS, shuffle=False)
        item = item_of(queue, source)
        with raw_session() as session:
            wait_for(queue, remaining=6)
            draw(session, item, 3)
            wait_for(queue, remaining=3, in_flight=1, completed=2)

    def test_at_the_take_itself(self):
        queue = WorkQueue(WORKS, shuffle=False, ack="take")
        item = queue.take()
        with raw_session() as session:
            draw(session, item, 3)
            wait_for(queue, remaining=3, in_flight=0, completed=3)

    def test_the_producer_holds_one(self):
        queue = WorkQueue(WORKS, shuffle=False)
        names = queue.input_producer()
        item, size = names.dequeue(), names.size()
        with raw_session() as session:
            for drawn in range(4):
                wait_until(lambda: session.run(size) == 1)
                # The one inside, the one that is read, and no other.
                wait_for(
                    queue,
                    remaining=5 - drawn,
                    in_flight=min(drawn + 1, 2),
                    completed=max(drawn - 1, 0),
                )
                session.run(item)

    def test_several_clients(self):
        queue = WorkQueue(WORKS, shuffle=False, num_clients=3)
        item = queue.take()
        with raw_session() as session:
            draw(session, item, 4)
            wait_for(queue, remaining=2, in_flight=3, completed=1)


class TestSnapshot:
    def test_continues_with_what_was_in_flight(self):
        queue = WorkQueue(WORKS, num_epochs=3, shuffle=False)
        item = queue.take()
        with raw_session() as session:
            draw(session, item, 4)
            wait_for(queue, completed=3)
            snapshot = queue.snapshot()
        assert isinstance(snapshot, str)
        with tf.Graph().as_default():
            queue = WorkQueue(WORKS, num_epochs=3, shuffle=False)
            queue.restore(snapshot)
            assert queue.snapshot() == snapshot
            item, size = queue.take(), queue.size()
            with raw_session() as session:
                wait_until(lambda: session.run(size) == 15)
                assert draw(session, item) == (WORKS * 3)[3:]

    def test_a_shuffled_epoch_goes_on_without_the_seed(self):
        works = [f"part-{i}" for i in range(20)]
        queue = WorkQueue(works, ack="take")
        item = queue.take()
        with raw_session() as session:
            done = draw(session, item, 7)
            wait_for(queue, completed=7)
            snapshot = queue.snapshot()
            rest = draw(session, item)
        with tf.Graph().as_default():
            queue = WorkQueue(works)
            queue.restore(snapshot)
            item = queue.take()
            with raw_session() as session:
                assert draw(session, item) == rest
        assert sorted(done + rest) == sorted(works)

    def test_before_the_session_it_is_the_beginning(self):
        queue = WorkQueue(WORKS, shuffle=False)
        other = WorkQueue(WORKS, shuffle=False, name="other")
        other.restore(queue.snapshot())
        item = other.take()
        with raw_session() as session:
            assert draw(session, item) == WORKS

    def test_after_the_session_it_is_the_end(self):
        queue = WorkQueue(WORKS, shuffle=False)
        item = queue.take()
        with raw_session() as session:
            assert draw(session, item) == WORKS
        position = json.loads(queue.snapshot())["body"]
        assert position["next_ticket"] == 6
        assert position["outstanding"] == []

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda s: s[:-20], "snapshot"),
            (lambda s: s.replace('"next_ticket": 0', '"next_ticket": 5'), "d"),
            (lambda s: s.replace('"version": 1', '"version": 99'), "99"),
            (lambda s: s.replace("wq_hooks.core.snapshot", "other"), "format"),
            (lambda s: "", "snapshot"),
            (lambda s: "[]", "snapshot"),
        ],
    )
    def test_what_cannot_be_read_is_refused(self, damage, message):
        queue = WorkQueue(WORKS, shuffle=False)
        snapshot = queue.snapshot()
        assert damage(snapshot) != snapshot
        with pytest.raises(SnapshotError, match=message):
            queue.restore(damage(snapshot))
        item = queue.take()
        with raw_session() as session:
            assert draw(session, item) == WORKS

    def test_only_on_the_chief(self):
        snapshot = WorkQueue(WORKS).snapshot()
        queue = WorkQueue(WORKS, name="other", is_chief=False)
        with pytest.raises(WorkQueueError, match="chief"):
            queue.snapshot()
        with pytest.raises(WorkQueueError, match="chief"):
            queue.restore(snapshot)

    def test_not_while_it_runs(self):
        queue = WorkQueue(WORKS)
        item = queue.take()
        with raw_session() as session:
            session.run(item)
            snapshot = queue.snapshot()
            with pytest.raises(WorkQueueError, match="session"):
                queue.restore(snapshot)


class TestManyWorks:
    def test_takes_stay_cheap_and_the_position_small(self, tmp_path):
        queue = WorkQueue(MANY, num_epochs=2, seed=1)
        item, size = queue.take(), queue.size()
        saver = tf1.train.Saver()
        tf1.add_to_collection(tf1.GraphKeys.SAVERS, saver)
        with raw_session() as session:
            assert session.run(size) == 200_000
            begin = time.monotonic()
            done = draw(session, item, 200)
            # 0.1 s, if takes do not depend on the number of works.
            assert time.monotonic() - begin < 10
            saver.save(session, str(tmp_path / "model"), 1)
            rest = draw(session, item, 100)
        assert len(set(done + rest)) == 300
        path = tf.train.latest_checkpoint(str(tmp_path))
        position = tf.train.load_checkpoint(path).get_tensor(
            "work_queue/position"
        )
        assert len(position) < 20_000

        with tf.Graph().as_default():
            queue = WorkQueue(MANY, num_epochs=2, seed=1)
            item, saver = queue.take(), tf1.train.Saver()
            with tf1.Session() as session:
                saver.restore(session, path)
                with running(session, init=[]):
                    # The last one before the save was in flight.
                    assert draw(session, item, 101) == [done[-1], *rest]

    def test_other_works_merge_with_the_list_kept_beside(self, tmp_path):
        run = {"directory": tmp_path, "save_checkpoint_steps": 100}
        done = items(train(MANY, last_step=5, **run))
        assert done == MANY[:5]
        lists = list(tmp_path.glob("*.works"))
        assert len(lists) == 1
        shorter = MANY[:3] + MANY[10:20]
        # The fifth was in flight, but is listed no more.
        assert items(train(shorter, **run)) == MANY[10:20]
        assert list(tmp_path.glob("*.works")) == lists


class TestScopes:
    @pytest.mark.parametrize(
        "scope",
        [
            lambda: tf1.name_scope("tower"),
            lambda: tf1.variable_scope("tower"),
            lambda: tf1.variable_scope("tower", reuse=True),
            lambda: tf1.variable_scope(
                "t", partitioner=tf1.fixed_size_partitioner(2)
            ),
            lambda: tf1.device("/cpu:0"),
            lambda: tf1.device("/job:localhost/replica:0/task:0/device:CPU:0"),
            # There is none here; strings do not live on one anyway.
            lambda: tf1.device("/device:GPU:0"),
            lambda: tf1.device(tf1.train.replica_device_setter(ps_tasks=0)),
            lambda: tf1.container("mine"),
        ],
    )
    def test_neither_the_key_nor_the_order_depend_on_them(self, scope):
        with scope():
            queue = WorkQueue(WORKS, shuffle=False)
        with scope():
            producer = queue.input_producer()
            dataset = queue.input_dataset()
        fetches = [tf.reshape(producer.dequeue(), []), element_of(dataset)]
        assert keys() == ["work_queue/position"]
        for fetch in fetches:
            with raw_session() as session:
                drawn = draw(session, fetch)
            # The producer holds one, also where nobody reads from it.
            assert drawn == WORKS if fetch is fetches[0] else WORKS[1:]

    @pytest.mark.parametrize("is_v2", [False, True])
    @pytest.mark.parametrize("source", ["take", "producer"])
    @pytest.mark.parametrize(
        "place", ["cond", "while_loop", "map_fn", "function", "dataset"]
    )
    def test_inside_branches_loops_and_functions(self, place, source, is_v2):
        queue = WorkQueue(WORKS, shuffle=False)

        with control_flow(is_v2=is_v2):
            items = in_place(place, lambda: item_of(queue, source))
        with raw_session() as session:
            drawn = []
            while len(drawn) < len(WORKS):
                drawn += np.ravel(session.run(items)).astype(str).tolist()
            assert sorted(drawn) == sorted(WORKS)
            with pytest.raises(tf.errors.OpError):
                session.run(items)

    def test_a_queue_is_not_made_inside_a_function(self):
        with pytest.raises(WorkQueueError, match="outside of functions"):
            tf.function(lambda: WorkQueue(WORKS).take())()

    def test_take_inside_a_gpu_scope(self):
        with tf1.device("/device:GPU:0"):
            item = WorkQueue(WORKS, shuffle=False).take()
        with raw_session() as session:
            assert draw(session, item) == WORKS

    def test_the_threads_do_not_wait_for_what_the_script_says(self):
        never = tf1.placeholder(tf.string)
        with tf.control_dependencies([never]):
            queue = WorkQueue(WORKS, shuffle=False)
            producer = queue.input_producer()
        item = tf.reshape(producer.dequeue(), [])
        with raw_session() as session:
            assert draw(session, item) == WORKS

    def test_take_waits_for_what_the_script_says(self):
        step = tf1.Variable(0)
        queue = WorkQueue(WORKS, shuffle=False)
        with tf.control_dependencies([step.assign_add(1)]):
            item = queue.take()
        with raw_session() as session:
            draw(session, item, 3)
            assert session.run(step) == 3

    def test_two_queues_in_one_graph(self):
        queues = [
            WorkQueue(["a", "b"], shuffle=False, name="first"),
            WorkQueue(["c"], num_epochs=3, name="second"),
        ]
        fetches = [queue.take() for queue in queues]
        assert keys() == ["first/position", "second/position"]
        with raw_session() as session:
            assert session.run(fetches) == [b"a", b"c"]
            assert session.run(fetches) == [b"b", b"c"]
            assert draw(session, fetches[1]) == ["c"]
            assert draw(session, fetches[0]) == []


class TestSessions:
    def test_they_stop_soon_while_a_take_is_blocked(self):
        """A worker waits for a chief that is not there."""
        queue = WorkQueue(WORKS, is_chief=False)
        item = queue.take()
        with tf1.Session() as session:
            with running(session):
                waiting = Background(session.run, item)
                wait_until(
                    lambda: (
                        session.run(engine_of(queue).mailbox.num_reports) >= 1
                    )
                )
            with pytest.raises(tf.errors.OpError):
                waiting.result(STOP_SECS)

    def test_one_after_the_other_over_one_graph(self):
        queue = WorkQueue(WORKS, shuffle=False)
        item = queue.take()
        init = initializers()
        tf1.get_default_graph().finalize()
        for _ in range(3):
            with raw_session(init=init) as session:
                assert draw(session, item) == WORKS

    @pytest.mark.parametrize("source", SOURCES)
    def test_one_after_the_other_on_one_server(self, source):
        """The resources of a server outlive its sessions."""
        server = tf.distribute.Server.create_local_server()
        item = item_of(WorkQueue(WORKS, shuffle=False), source)
        init = initializers()
        for num in (None, 2, 0, None):
            with raw_session(server.target, init=init) as session:
                assert draw(session, item, num) == WORKS[:num]

    def test_without_a_coordinator(self):
        queue = WorkQueue(WORKS, shuffle=False)
        item = queue.take()
        num_threads = threading.active_count()
        with tf1.Session() as session:
            session.run(initializers())
            threads = tf1.train.start_queue_runners(session)
            assert draw(session, item) == WORKS
            assert all(thread.daemon for thread in threads)
        # Those that wait for the mailbox hear of it a little later.
        wait_until(lambda: threading.active_count() <= num_threads + 6)
        # The next session is a new one.
        with raw_session() as session:
            assert draw(session, item) == WORKS

    def test_started_twice(self):
        item = WorkQueue(WORKS, shuffle=False).take()
        with raw_session() as session:
            assert tf1.train.start_queue_runners(session) == []
            assert draw(session, item) == WORKS

    def test_a_session_without_initialised_variables(self):
        item = WorkQueue(WORKS, shuffle=False).take()
        with raw_session(init=[]) as session:
            assert draw(session, item) == WORKS

    @pytest.mark.parametrize("with_hook", [False, True])
    def test_monitored_ones_over_one_graph(self, with_hook):
        item = WorkQueue(WORKS, shuffle=False).take()
        for _ in range(2):
            drawn = []
            with tf1.train.MonitoredTrainingSession(
                hooks=[WorkQueueHook()] if with_hook else []
            ) as session:
                while not session.should_stop():
                    drawn.append(session.run(item).decode())
            assert drawn == WORKS

    @pytest.mark.parametrize("source", SOURCES)
    def test_monitored(self, source):
        assert items(train(WORKS, source=source)) == WORKS

    @pytest.mark.parametrize(
        ("source", "with_server"),
        [("take", False), *((source, True) for source in SOURCES)],
    )
    def test_created_again_go_back_to_the_checkpoint(
        self, tmp_path, source, with_server
    ):
        """What TensorFlow does when a parameter server was lost."""
        works = [f"part-{i}" for i in range(12)]

        class Preemption(tf1.train.SessionRunHook):
            def before_run(self, run_context):
                del run_context
                if seen == works[:8] and not preempted:
                    preempted.append(True)
                    raise tf.errors.AbortedError(None, None, "once")

        seen, preempted = [], []
        args = {}
        if with_server:
            server = tf.distribute.Server.create_local_server()
            args["master"] = server.target
        train(
            works,
            source=source,
            directory=tmp_path,
            save_checkpoint_steps=5,
            hooks=[Preemption()],
            step_hook=lambda queue, item: seen.append(item),
            **args,
        )
        assert seen[:8] == works[:8]
        # Saved after the fifth step, with its item in flight. The producer
        # completes an item a moment after the next one was drawn.
        first = int(seen[8].removeprefix("part-"))
        assert first in ([3, 4] if source == "producer" else [4])
        assert seen[8:] == works[first:]

    def test_what_was_restored_by_hand_counts_when_created_again(self):
        queue = WorkQueue(WORKS, shuffle=False, ack="take")
        item = queue.take()
        with raw_session() as session:
            draw(session, item, 2)
            wait_for(queue, completed=2)
            snapshot = queue.snapshot()
        with tf.Graph().as_default():
            queue = WorkQueue(WORKS, shuffle=False)
            queue.restore(snapshot)
            item = queue.take()
            for _ in range(2):
                # Without a checkpoint, the model is back at its beginning.
                with raw_session() as session:
                    assert draw(session, item, 3) == WORKS[2:5]

    def test_the_graph_can_be_forgotten(self):
        graph = tf.Graph()
        with graph.as_default():
            queue = WorkQueue(WORKS)
            item = queue.take()
            with raw_session() as session:
                draw(session, item)
        reference = weakref.ref(graph)
        del graph, queue, item, session

        def is_gone():
            gc.collect()
            return reference() is None

        wait_until(is_gone, secs=10)


def keys():
    """Returns what the positions are called in a checkpoint."""
    assert tf1.global_variables() == []
    positions = tf1.get_collection(tf1.GraphKeys.SAVEABLE_OBJECTS)
    return [position.key for position in positions]


def hook_of(queue, scaffold):
    del scaffold
    return WorkQueueHook(queue)


class HeldSaver(tf1.train.Saver):
    """Waits in the middle of a save."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.is_saving = threading.Event()
        self.may_go_on = threading.Event()

    def save(self, *args, **kwargs):
        self.is_saving.set()
        assert self.may_go_on.wait(60)
        return super().save(*args, **kwargs)


def save_in(session, saver, directory):
    # The default graph is that of a thread.
    with session.graph.as_default():
        saver.save(session, str(directory / "model"))


class TestCheckpoint:
    @pytest.mark.parametrize(
        ("saver", "with_hook"),
        [
            (None, False),
            (None, True),
            (lambda: tf1.train.Saver(), True),
            (lambda: tf1.train.Saver(sharded=True, max_to_keep=2), True),
        ],
        ids=["default", "hook", "plain", "sharded"],
    )
    def test_the_rest_comes_after_a_restore(self, tmp_path, saver, with_hook):
        run = {
            "directory": tmp_path,
            "saver": saver,
            "hook_of": hook_of if with_hook else None,
            "save_checkpoint_steps": 100,
            "queue_args": {"num_epochs": 2},
        }
        assert items(train(WORKS, last_step=4, **run)) == WORKS[:4]
        position = position_of(tmp_path)
        # What lies ready in the mailbox has not begun.
        assert [item[1] for item in position["outstanding"]] == ["path/c"]
        rest = train(WORKS, **run)
        # The fourth was in flight at the save.
        assert items(rest) == (WORKS * 2)[3:]
        assert rest[0] == ("path/c", 5)
        assert train(WORKS, **run) == []

    @pytest.mark.parametrize(
        ("works", "queue_args", "expected"),
        [
            # The epoch that was begun is finished.
            (WORKS, {"num_epochs": 1, "seed": 7}, WORKS[3:]),
            (WORKS, {"num_epochs": 3, "seed": 7}, WORKS[3:] + WORKS * 2),
            (
                [*WORKS, "new"],
                {"num_epochs": 2, "seed": 7},
                [*WORKS[3:], "new", *WORKS, "new"],
            ),
        ],
        ids=["fewer epochs", "more epochs", "a new work"],
    )
    def test_other_arguments_apply_to_what_lay_ready(
        self, tmp_path, works, queue_args, expected
    ):
        run = {"directory": tmp_path, "save_checkpoint_steps": 100}
        before = {"num_epochs": 2, "seed": 7}
        train(WORKS, last_step=4, queue_args=before, **run)
        rest = items(train(works, queue_args=queue_args, **run))
        assert sorted(rest) == sorted(expected)

    def test_another_order_applies_to_an_epoch_that_lay_ready(self, tmp_path):
        works = [f"{i:02}" for i in range(8)]
        run = {"directory": tmp_path, "save_checkpoint_steps": 100}
        begun = train(
            works,
            last_step=4,
            queue_args={"num_epochs": 3, "shuffle": True, "seed": 7},
            **run,
        )
        rest = items(
            train(works, queue_args={"num_epochs": 3, "shuffle": False}, **run)
        )
        assert sorted([*items(begun)[:3], *rest[:5]]) == sorted(rest[5:13])
        assert rest[5:] == sorted(rest[5:13]) * 2

    def test_a_job_that_was_done_says_so(self, tmp_path, caplog):
        train(WORKS, directory=tmp_path)
        assert "nothing is left to be trained" not in caplog.text
        train(WORKS, directory=tmp_path)
        assert "nothing is left to be trained" in caplog.text

    def test_nothing_comes_again_where_the_last_step_was_saved(self, tmp_path):
        """Saved after each step: TensorFlow saves no second time at the end."""
        assert items(train(WORKS, directory=tmp_path)) == WORKS
        assert items(train(WORKS, directory=tmp_path)) == []

    def test_a_saver_that_nobody_knows_of_repeats_but_skips_nothing(
        self, tmp_path
    ):
        run = {"directory": tmp_path, "saver": tf1.train.Saver}
        done = train(WORKS, last_step=4, **run)
        rest = items(train(WORKS, **run))
        assert items(done) == WORKS[:4]
        assert rest == WORKS[-len(rest) :]
        assert len(rest) >= 3

    def test_a_position_that_is_not_saved(self, tmp_path):
        run = {"directory": tmp_path, "queue_args": {"save": False}}
        for _ in range(2):
            step = 0 if not list(tmp_path.iterdir()) else 3
            assert items(train(WORKS, last_step=step + 3, **run)) == WORKS[:3]
        path = tf.train.latest_checkpoint(str(tmp_path))
        assert tf.train.list_variables(path) == [("global_step", [])]

    def test_starting_over_when_asked_for(self, tmp_path):
        run = {"directory": tmp_path}
        train(WORKS, last_step=4, **run)
        run["queue_args"] = {"start_over": True}
        assert items(train(WORKS, **run)) == WORKS

    def test_starting_over_happens_once(self, tmp_path):
        """Not again when the session is created again."""
        train(WORKS, last_step=4, directory=tmp_path)
        seen = []

        class Preemption(tf1.train.SessionRunHook):
            def before_run(self, run_context):
                del run_context
                if len(seen) == 4:
                    seen.append("preempted")
                    raise tf.errors.AbortedError(None, None, "once")

        train(
            WORKS,
            directory=tmp_path,
            queue_args={"start_over": True},
            hooks=[Preemption()],
            step_hook=lambda queue, item: seen.append(item),
        )
        assert seen == [*WORKS[:4], "preempted", *WORKS[3:]]

    def test_acknowledgements_after_the_save_has_begun_do_not_count(
        self, tmp_path
    ):
        queue = WorkQueue(MANY[:100], shuffle=False)
        item = queue.take()
        saver = HeldSaver()
        tf1.add_to_collection(tf1.GraphKeys.SAVERS, saver)
        with raw_session() as session:
            draw(session, item, 11)
            wait_for(queue, completed=10)
            saving = Background(save_in, session, saver, tmp_path)
            assert saver.is_saving.wait(60)
            draw(session, item, 20)
            wait_for(queue, completed=30)
            # The chief writes the position from time to time; not now.
            older = json.loads(queue.snapshot())["body"]
            time.sleep(2.5)
            saver.may_go_on.set()
            saving.result()
        position = position_of(tmp_path)
        assert len(older["outstanding"]) + 30 == older["next_ticket"]
        outstanding = [ticket for ticket, *_ in position["outstanding"]]
        assert outstanding[0] == 10
        assert position["next_ticket"] - len(outstanding) == 10

    @pytest.mark.parametrize("with_hook", [False, True])
    def test_the_checkpoint_of_another_program(self, tmp_path, with_hook):
        with tf.Graph().as_default():
            tf1.train.get_or_create_global_step()
            tf1.get_variable("other", [3])
            saver = tf1.train.Saver()
            with tf1.Session() as session:
                session.run(initializers())
                saver.save(session, str(tmp_path / "model.ckpt"), 1)

        def add_variable(queue):
            tf1.get_variable("mine", [3])

        with pytest.raises(tf.errors.NotFoundError, match="not found"):
            train(
                WORKS,
                directory=tmp_path,
                before=add_variable,
                hook_of=hook_of if with_hook else None,
            )

    @pytest.mark.parametrize(
        ("text", "with_hook"), [("{}", False), ("no json", True)]
    )
    def test_the_position_of_another_program(self, tmp_path, text, with_hook):
        with tf.Graph().as_default():
            tf1.train.get_or_create_global_step()
            with tf1.variable_scope("work_queue"):
                tf1.get_variable(
                    "position",
                    [],
                    tf.string,
                    initializer=tf1.constant_initializer(text),
                )
            saver = tf1.train.Saver()
            with tf1.Session() as session:
                session.run(initializers())
                saver.save(session, str(tmp_path / "model.ckpt"), 1)

        with pytest.raises(SnapshotError, match="snapshot"):
            train(
                WORKS,
                directory=tmp_path,
                hook_of=hook_of if with_hook else None,
            )

    def test_the_graph_is_exported_without_a_warning(self, tmp_path, caplog):
        queue = WorkQueue(WORKS, shuffle=False)
        queue.add_summary()
        queue.input_producer().dequeue(name="item")
        queue.input_dataset()
        tf1.train.Saver()
        messages = []
        handler = logging.Handler(logging.WARNING)
        handler.emit = lambda record: messages.append(record.getMessage())
        logger = logging.getLogger("tensorflow")
        logger.addHandler(handler)
        try:
            tf1.train.export_meta_graph(str(tmp_path / "graph.meta"))
        finally:
            logger.removeHandler(handler)
        assert messages == []
        assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []

        with tf.Graph().as_default() as graph:
            tf1.train.import_meta_graph(str(tmp_path / "graph.meta"))
            runners = graph.get_collection(tf1.GraphKeys.QUEUE_RUNNERS)
            assert len(runners) == 1
            with tf1.Session() as session:
                runs = []
                make_callable = session.make_callable

                def counting(fetch):
                    run = make_callable(fetch)
                    return lambda: runs.append(fetch) or run()

                session.make_callable = counting
                with running(session, init=[]):
                    wait_until(lambda: runs)
                # The ledger is not in it: the thread waits in its first run.
                assert len(runs) == 1


def test_a_queue_is_made_before_the_session():
    with tf1.train.SingularMonitoredSession() as session:
        assert session.graph.finalized
        with pytest.raises(WorkQueueError, match="made before the session"):
            WorkQueue(WORKS)


@pytest.mark.parametrize("reader", [None, "lines"])
def test_a_reader_of_records_is_a_function(reader):
    with pytest.raises(TypeError, match="Expected reader to be a function"):
        WorkQueue(WORKS).records(reader)
