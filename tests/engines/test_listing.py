"""Works added to a queue that runs, in graph mode and in eager mode."""

from __future__ import annotations

import gc
import threading

import pytest
import tensorflow as tf

from tests.support.in_process_cluster import Background
from tests.support.queues import chief_of, state_of
from tests.support.sessions import (
    DEADLINE_SECS,
    draw,
    item_of,
    raw_session,
    wait_until,
)
from wq_hooks import WorkQueue
from wq_hooks.engines import engine_of
from wq_hooks.errors import WorkQueueError

tf1 = tf.compat.v1


@pytest.fixture
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def open_queue(works=("a", "b"), **options):
    return WorkQueue(
        list(works), **{"shuffle": False, "is_open": True, **options}
    )


def draw_eagerly(queue):
    """Returns all items up to the end of data."""
    texts = []
    try:
        while True:
            texts.append(queue.take().numpy().decode())
    except tf.errors.OutOfRangeError:
        return texts


class TestArguments:
    def test_no_end_of_epochs_is_refused(self, graph):
        with pytest.raises(ValueError, match="Expected a number of epochs"):
            open_queue(num_epochs=None)
        with pytest.raises(TypeError, match="Expected is_open to be a bool"):
            open_queue(is_open=1)

    def test_a_queue_that_is_not_open_says_so(self, graph):
        queue = WorkQueue(["a"])
        with pytest.raises(WorkQueueError, match="made without is_open=True"):
            queue.add_works(["b"])

    def test_a_worker_says_that_it_is_none_of_its_business(self, graph):
        queue = open_queue(is_chief=False)
        for call in (lambda: queue.add_works(["b"]), queue.close_works):
            with pytest.raises(WorkQueueError, match="called on the chief"):
                call()

    def test_what_is_added_is_checked(self, graph):
        queue = open_queue()
        queue.add_works([])
        with pytest.raises(TypeError, match="sequence of str"):
            queue.add_works("c")
        with pytest.raises(ValueError, match="is blank"):
            queue.add_works([" "])
        with pytest.raises(TypeError, match="priority to be an int"):
            queue.add_works(["c"], priority="high")
        queue.close_works()
        with pytest.raises(WorkQueueError, match=r"close_works\(\)"):
            queue.add_works(["c"])


class TestGraphMode:
    @pytest.mark.parametrize("source", ["take", "dataset", "producer"])
    def test_added_works_come_last_and_the_end_waits(self, graph, source):
        queue = open_queue(num_epochs=2, prefix="/p/")
        queue.add_works(["early"])
        item = item_of(queue, source)
        with raw_session() as session:
            expected = [*"abab", "early"]
            assert draw(session, item, 5) == [f"/p/{x}" for x in expected]
            assert queue.num_added == 1
            reader = Background(lambda: draw(session, item))
            queue.add_works(["c", " d "])
            wait_until(lambda: state_of(queue)["completed"] >= 6)
            assert session.run(queue.size()) == -1
            queue.add_works(["e"])
            queue.close_works()
            assert reader.result() == ["/p/c", "/p/d", "/p/e"]
            assert queue.num_added == 4

    def test_urgent_works_come_first(self, graph):
        queue = open_queue()
        queue.add_works(["c", "d"])
        queue.add_works(["urgent"], priority=1)
        queue.close_works()
        item = queue.take()
        with raw_session() as session:
            assert draw(session, item) == ["a", "b", "urgent", "c", "d"]

    def test_a_session_that_waits_for_works_stops_at_once(self, graph):
        queue = open_queue()
        item = queue.take()
        with raw_session() as session:
            assert draw(session, item, 2) == ["a", "b"]

    def test_they_survive_a_checkpoint_and_a_restart(self, tmp_path):
        def life(body, **options):
            with tf.Graph().as_default():
                tf1.train.get_or_create_global_step()
                queue = open_queue(**options)
                item = queue.take()
                with tf1.train.MonitoredTrainingSession(
                    checkpoint_dir=str(tmp_path),
                    save_checkpoint_secs=None,
                    save_checkpoint_steps=10**6,
                    log_step_count_steps=None,
                ) as session:
                    return body(queue, lambda num: draw(session, item, num))

        partitions = ["h0", "h1", "h2", "h3"]

        def first(queue, take):
            queue.add_works(partitions[:3])
            return take(4)

        def second(queue, take):
            # The feeder goes on where the one before was.
            queue.add_works(partitions[queue.num_added :])
            queue.close_works()
            return take(None)

        assert life(first) == ["a", "b", "h0", "h1"]
        # h1 was taken and not completed.
        assert life(second) == ["h1", "h2", "h3"]


class TestEagerMode:
    @pytest.mark.parametrize("source", ["take", "dataset"])
    def test_added_works_come_last_and_the_end_waits(self, source):
        with open_queue(name=f"add-{source}") as queue:
            if source == "take":

                def take_all():
                    try:
                        while True:
                            texts.append(queue.take().numpy().decode())
                    except tf.errors.OutOfRangeError:
                        return
            else:
                dataset = queue.input_dataset()

                def take_all():
                    for text in dataset.as_numpy_iterator():
                        texts.append(text.decode())

            texts = []
            reader = Background(take_all)
            wait_until(lambda: len(texts) == 2)
            queue.add_works(["c"])
            wait_until(lambda: len(texts) == 3)
            assert int(queue.size()) == -1
            queue.add_works(["d"])
            queue.close_works()
            reader.result()
            assert texts == ["a", "b", "c", "d"]

    def test_closing_ends_a_reader_that_waits(self):
        queue = open_queue(name="closed-early")
        errors = []

        def take_all():
            try:
                while True:
                    queue.take()
            except WorkQueueError as e:
                errors.append(str(e))

        thread = threading.Thread(target=take_all, daemon=True)
        thread.start()
        # The second is completed when the next one is asked for.
        wait_until(lambda: chief_of(queue).ledger.completed == 2)
        queue.close()
        thread.join(DEADLINE_SECS)
        assert errors == [
            "Work queue 'closed-early' was closed while a reader waited for "
            "an item."
        ]

    def test_a_reader_that_is_gone_takes_nothing_that_comes_later(self):
        with open_queue(name="reader-gone") as queue:
            iterator = iter(queue.input_dataset().prefetch(4))
            assert [next(iterator).numpy() for _ in range(2)] == [b"a", b"b"]
            # Its prefetch has asked for a third by then, or will never.
            wait_until(lambda: chief_of(queue).ledger.completed == 2)
            del iterator
            gc.collect()
            queue.add_works(["c", "d"])
            queue.close_works()
            taken = []
            # What the reader may have taken meanwhile comes back.
            wait_until(
                lambda: (
                    taken.extend(draw_eagerly(queue))
                    or engine_of(queue).is_done
                )
            )
            assert sorted(taken) == ["c", "d"]

    def test_they_survive_a_checkpoint_and_a_restart(self, tmp_path):
        def checkpoint_of(queue):
            return tf.train.Checkpoint(queue=queue)

        with open_queue(name="kept") as queue:
            queue.add_works(["c", "d", "e"])
            taken = [queue.take().numpy() for _ in range(4)]
            assert taken == [b"a", b"b", b"c", b"d"]
            path = checkpoint_of(queue).save(str(tmp_path / "ckpt"))
            queue.add_works(["late"])
            # Added since, in this process: it is not lost.
            checkpoint_of(queue).restore(path)
            queue.close_works()
            taken = list(queue.input_dataset().as_numpy_iterator())
            assert taken == [b"d", b"e", b"late"]
        with open_queue(name="kept") as queue:
            checkpoint_of(queue).restore(path)
            assert queue.num_added == 3
            queue.add_works(["f"])
            queue.close_works()
            taken = list(queue.input_dataset().as_numpy_iterator())
            assert taken == [b"d", b"e", b"f"]
