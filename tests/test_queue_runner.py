from __future__ import annotations

import collections
import itertools
import logging
import threading

import numpy as np
import pytest
import tensorflow as tf

from wq_hooks.queue_runner import GeneralQueueRunner

tf1 = tf.compat.v1

# Only so that a hang fails; nothing here takes a second.
DEADLINE_SECS = 60
RUN_OPTIONS = tf1.RunOptions(timeout_in_ms=DEADLINE_SECS * 1000)


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


@pytest.fixture
def coord():
    return tf1.train.Coordinator()


class Recorder(logging.Handler):
    """Keeps what is logged as a warning or worse."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage())


@pytest.fixture
def tensorflow_warnings():
    recorder = Recorder()
    logger = logging.getLogger("tensorflow")
    logger.addHandler(recorder)
    yield recorder.messages
    logger.removeHandler(recorder)


class Numbers:
    """A queue of int64 scalars, and runners that feed it."""

    def __init__(self, capacity=100):
        self.queue = tf.queue.FIFOQueue(capacity, [tf.int64], [[]])
        self.number = tf1.placeholder(tf.int64, [])
        self.enqueue_op = self.queue.enqueue(self.number)
        self.dequeue = self.queue.dequeue()
        self.close_op = self.queue.close()

    def runner(self, *funcs, **kwargs):
        return GeneralQueueRunner(
            self.queue,
            [self.enqueue_op] * len(funcs),
            list(funcs),
            [self.number] * len(funcs),
            **kwargs,
        )

    def take(self, sess):
        return int(sess.run(self.dequeue, options=RUN_OPTIONS))

    def drain(self, sess):
        return take_all(lambda: self.take(sess))


def take_all(take):
    """Calls `take` until the end of data."""
    values = []
    while True:
        try:
            values.append(take())
        except tf.errors.OutOfRangeError:
            return values


def until_end(values, end=StopIteration):
    """A function that returns one value after the other, then raises `end`."""
    values = iter(values)

    def func():
        for value in values:
            return value
        raise end

    return func


def out_of_range():
    return tf.errors.OutOfRangeError(None, None, "no more")


def join(threads):
    for thread in threads:
        thread.join(DEADLINE_SECS)
        assert not thread.is_alive(), thread


def stop_and_join(coord, threads):
    coord.request_stop()
    coord.join(threads, stop_grace_period_secs=DEADLINE_SECS)


# The two demos of the document that the class comes from.


@pytest.fixture
def examples():
    """A FIFO queue of strings, fed behind the parser of an Example."""
    serialized = tf1.placeholder(tf.string, name="tf_example")
    parsed = tf1.parse_single_example(
        serialized, {"x": tf1.FixedLenFeature([], tf.string)}
    )["x"]
    queue = tf.queue.FIFOQueue(20, [tf.string], name="fifo_queue")
    return queue, queue.enqueue(parsed, name="enqueue"), parsed


SAMPLES = [np.full([5], i, np.int32) for i in range(11)]


def shuffled_batches(queue, **kwargs):
    rows = tf.reshape(tf1.decode_raw(queue.dequeue(), tf.int32), [5])
    return tf1.train.shuffle_batch(
        [rows],
        batch_size=4,
        capacity=24,
        num_threads=1,
        min_after_dequeue=6,
        **kwargs,
    )


def test_demo_fixed_shape_over_shuffle_batch(examples, coord):
    queue, enqueue_op, x = examples
    lock = threading.Lock()
    produced = []

    def read():
        with lock:
            produced.append(len(produced) % len(SAMPLES))
            return SAMPLES[produced[-1]].tobytes()

    runner = GeneralQueueRunner(
        queue=queue,
        enqueue_ops=[enqueue_op, enqueue_op],
        feed_dict_funcs=[read, read],
        feed_tensors=[x, x],
    )
    tf1.train.add_queue_runner(runner)
    batches = shuffled_batches(queue)
    seen = collections.Counter()
    with tf1.Session() as sess:
        threads = tf1.train.start_queue_runners(sess, coord=coord)
        for _ in range(20):
            batch = sess.run(batches, options=RUN_OPTIONS)
            assert batch.shape == (4, 5)
            np.testing.assert_array_equal(batch, batch[:, :1].repeat(5, 1))
            seen.update(batch[:, 0].tolist())
        stop_and_join(coord, threads)

    # Each row was read, none came twice, and what was read and not seen waits
    # in the two queues or in the hands of the three threads.
    assert sum(seen.values()) == 80
    assert not seen - collections.Counter(produced)
    assert len(produced) - 80 <= 20 + 24 + 3
    assert set(seen) == set(range(11))


def test_fixed_shape_to_the_end_gives_every_sample_once(examples, coord):
    queue, enqueue_op, x = examples
    halves = [SAMPLES[:5], SAMPLES[5:]]
    runner = GeneralQueueRunner(
        queue,
        [enqueue_op, enqueue_op],
        [until_end(s.tobytes() for s in half) for half in halves],
        [x, x],
    )
    tf1.train.add_queue_runner(runner)
    batches = shuffled_batches(queue, allow_smaller_final_batch=True)
    with tf1.Session() as sess:
        threads = tf1.train.start_queue_runners(sess, coord=coord)
        taken = take_all(lambda: sess.run(batches, options=RUN_OPTIONS))
        stop_and_join(coord, threads)
    assert sorted(np.concatenate(taken).tolist()) == [
        [i] * 5 for i in range(11)
    ]


def test_demo_dynamic_shape_over_batch(examples, coord):
    queue, enqueue_op, x = examples
    lists = [[0, 1, 2, 3], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5], [0, 6]]
    following = itertools.cycle(lists)
    runner = GeneralQueueRunner(
        queue=queue,
        enqueue_ops=[enqueue_op],
        feed_dict_funcs=[lambda: np.array(next(following), "int64").tobytes()],
        feed_tensors=[x],
    )
    tf1.train.add_queue_runner(runner)
    value = tf.reshape(queue.dequeue(), [])
    batches = tf1.train.batch([value], batch_size=4, capacity=24, num_threads=1)
    with tf1.Session() as sess:
        threads = tf1.train.start_queue_runners(sess, coord=coord)
        for _ in range(2):
            batch = sess.run(batches, options=RUN_OPTIONS)
            assert [np.frombuffer(v, np.int64).tolist() for v in batch] == lists
        stop_and_join(coord, threads)


# The end.


@pytest.mark.parametrize("end", [StopIteration, out_of_range()])
def test_end_of_the_function_closes_the_queue(coord, end):
    numbers = Numbers()
    runner = numbers.runner(until_end(range(10), end))
    with tf1.Session() as sess:
        threads = runner.create_threads(sess, coord, start=True)
        join(threads[:1])
        assert not coord.should_stop()
        assert numbers.drain(sess) == list(range(10))
        stop_and_join(coord, threads)


def test_other_exceptions_can_mean_the_end_too():
    numbers = Numbers()
    cancelled = tf.errors.CancelledError(None, None, "stopped")
    runner = numbers.runner(
        until_end(range(3), cancelled),
        queue_closed_exception_types=(tf.errors.CancelledError,),
    )
    with tf1.Session() as sess:
        join(runner.create_threads(sess, start=True))
        assert numbers.drain(sess) == [0, 1, 2]
    assert runner.exceptions_raised == []


def test_queue_closed_by_somebody_else_ends_the_threads():
    numbers = Numbers()
    runner = numbers.runner(
        itertools.count().__next__,
        queue_closed_exception_types=(tf.errors.CancelledError,),
    )
    with tf1.Session() as sess:
        threads = runner.create_threads(sess, start=True)
        sess.run(numbers.close_op)
        taken = numbers.drain(sess)
        join(threads)
    assert taken == list(range(len(taken)))
    assert runner.exceptions_raised == []


def test_only_the_last_of_several_threads_closes_the_queue(coord):
    numbers = Numbers(capacity=2)
    may_end = threading.Event()

    def late():
        assert may_end.wait(DEADLINE_SECS)
        return next(late_values)

    late_values = iter([100])
    runner = numbers.runner(until_end([0, 1]), late)
    with tf1.Session() as sess:
        threads = runner.create_threads(sess, coord, start=True)
        join(threads[:1])
        assert [numbers.take(sess), numbers.take(sess)] == [0, 1]
        may_end.set()
        assert numbers.drain(sess) == [100]
        stop_and_join(coord, threads)


def test_several_threads_enqueue_everything_once(coord):
    numbers = Numbers(capacity=3)
    ranges = [range(i * 100, i * 100 + 50) for i in range(4)]
    runner = numbers.runner(*map(until_end, ranges))
    with tf1.Session() as sess:
        threads = runner.create_threads(sess, coord, start=True)
        assert len(threads) == 5
        taken = numbers.drain(sess)
        stop_and_join(coord, threads)
    for i, expected in enumerate(ranges):
        assert [n for n in taken if n // 100 == i] == list(expected)
    assert len(taken) == 200


def test_each_function_feeds_its_own_tensor():
    queue = tf.queue.FIFOQueue(10, [tf.string], [[]])
    words = [tf1.placeholder(tf.string, []) for _ in range(2)]
    runner = GeneralQueueRunner(
        queue,
        [queue.enqueue(tf.strings.join([c, w])) for c, w in zip("ab", words)],
        [until_end(["0", "1"]), until_end(["2"])],
        words,
    )
    dequeue = queue.dequeue_many(3)
    with tf1.Session() as sess:
        join(runner.create_threads(sess, start=True))
        assert sorted(sess.run(dequeue)) == [b"a0", b"a1", b"b2"]


# Feeding several tensors at once.


@pytest.mark.parametrize("container", [tuple, list])
def test_a_tuple_of_tensors_is_fed_with_a_tuple_of_values(container):
    name = tf1.placeholder(tf.string, [])
    size = tf1.placeholder(tf.int64, [None])
    queue = tf.queue.FIFOQueue(10, [tf.string, tf.int64])
    dequeue = queue.dequeue()
    runner = GeneralQueueRunner(
        queue,
        [queue.enqueue([name, size])],
        [until_end([container(["a", [1]]), container(["b", [2, 3]])])],
        [container([name, size])],
    )
    with tf1.Session() as sess:
        join(runner.create_threads(sess, start=True))
        assert runner.exceptions_raised == []
        for expected in (b"a", [1]), (b"b", [2, 3]):
            taken = sess.run(dequeue, options=RUN_OPTIONS)
            assert taken[0] == expected[0]
            assert taken[1].tolist() == expected[1]


@pytest.mark.parametrize("value", [("a",), ("a", 1, 2), "ab"])
def test_a_tuple_that_does_not_match_is_an_error(coord, value):
    name = tf1.placeholder(tf.string, [])
    size = tf1.placeholder(tf.int64, [])
    queue = tf.queue.FIFOQueue(10, [tf.string, tf.int64], [[], []])
    runner = GeneralQueueRunner(
        queue, [queue.enqueue([name, size])], [lambda: value], [(name, size)]
    )
    with tf1.Session() as sess:
        threads = runner.create_threads(sess, coord, start=True)
        with pytest.raises(ValueError, match="return a tuple of 2 values"):
            coord.join(threads, stop_grace_period_secs=DEADLINE_SECS)


# Failures.


def test_exception_reaches_the_coordinator_and_unblocks_consumers(coord):
    numbers = Numbers()
    runner = numbers.runner(until_end([7], KeyError("broken")))
    with tf1.Session() as sess:
        threads = runner.create_threads(sess, coord, start=True)
        assert numbers.drain(sess) == [7]
        assert coord.should_stop()
        with pytest.raises(KeyError, match="broken"):
            coord.join(threads, stop_grace_period_secs=DEADLINE_SECS)
    assert runner.exceptions_raised == []


def test_a_value_that_does_not_fit_reaches_the_coordinator(coord):
    numbers = Numbers()
    runner = numbers.runner(lambda: [1, 2])
    with tf1.Session() as sess:
        threads = runner.create_threads(sess, coord, start=True)
        with pytest.raises(ValueError, match="shape"):
            coord.join(threads, stop_grace_period_secs=DEADLINE_SECS)


def test_without_a_coordinator_exceptions_are_logged_and_kept(caplog):
    numbers = Numbers()
    error = KeyError("broken")
    runner = numbers.runner(until_end([1], error), until_end([2]))
    with tf1.Session() as sess:
        join(runner.create_threads(sess, start=True))
        assert runner.exceptions_raised == [error]
        assert sorted(numbers.drain(sess)) == [1, 2]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info[1] is error


def test_failure_after_the_stop_request_is_dropped(coord):
    numbers = Numbers()
    is_called = threading.Event()

    def func():
        is_called.set()
        coord.wait_for_stop()
        raise KeyError("too late")

    runner = numbers.runner(func)
    with tf1.Session() as sess:
        threads = runner.create_threads(sess, coord, start=True)
        assert is_called.wait(DEADLINE_SECS)
        stop_and_join(coord, threads)
    join(threads)


# Starting and stopping.


def test_stop_request_unblocks_a_thread_in_a_full_queue(coord):
    numbers = Numbers(capacity=1)
    is_full = threading.Event()

    def func():
        calls.append(1)
        if len(calls) == 2:
            is_full.set()
        return 0

    calls = []
    runner = numbers.runner(func)
    with tf1.Session() as sess:
        threads = runner.create_threads(sess, coord, start=True)
        assert is_full.wait(DEADLINE_SECS)
        stop_and_join(coord, threads)
        assert numbers.drain(sess) == [0]
    assert len(calls) == 2


def test_value_that_comes_after_the_stop_request_is_not_enqueued(coord):
    numbers = Numbers()

    def func():
        coord.wait_for_stop()
        return 1

    runner = numbers.runner(func, cancel_op=tf.no_op())
    size = numbers.queue.size()
    with tf1.Session() as sess:
        threads = runner.create_threads(sess, coord, start=True)
        stop_and_join(coord, threads)
        assert sess.run(size) == 0


def test_threads_of_a_running_session_are_not_created_again(coord):
    numbers = Numbers()
    may_end = threading.Event()

    def func():
        assert may_end.wait(DEADLINE_SECS)
        raise StopIteration

    runner = numbers.runner(func, func)
    with tf1.Session() as first, tf1.Session() as second:
        threads = runner.create_threads(first, start=True)
        assert len(threads) == 2
        assert runner.create_threads(first, start=True) == []
        others = runner.create_threads(second, coord, daemon=True)
        assert len(others) == 3
        assert all(thread.daemon for thread in others)
        assert not any(thread.is_alive() for thread in others)
        for thread in others:
            thread.start()
        may_end.set()
        join(threads)
        stop_and_join(coord, others)
        assert len(runner.create_threads(first)) == 2


def test_no_feeding_behaves_as_the_plain_queue_runner(coord):
    queue = tf.queue.FIFOQueue(4, [tf.int64], [[]])
    limited = tf1.train.limit_epochs(tf.constant(5, tf.int64), num_epochs=3)
    runner = GeneralQueueRunner(queue, [queue.enqueue(limited)])
    dequeue = queue.dequeue()
    with tf1.Session() as sess:
        sess.run(tf1.local_variables_initializer())
        threads = runner.create_threads(sess, coord, start=True)
        assert len(threads) == 2
        taken = [sess.run(dequeue, options=RUN_OPTIONS) for _ in range(3)]
        assert taken == [5, 5, 5]
        with pytest.raises(tf.errors.OutOfRangeError):
            sess.run(dequeue, options=RUN_OPTIONS)
        stop_and_join(coord, threads)
    assert runner.exceptions_raised == []


def test_monitored_training_session_starts_it(tmp_path, tensorflow_warnings):
    numbers = Numbers()
    runner = numbers.runner(until_end(range(20)))
    tf1.train.add_queue_runner(runner)
    step = tf1.train.get_or_create_global_step()
    train = [numbers.dequeue, tf1.assign_add(step, 1)]
    trained = []
    tensorflow_warnings.clear()
    with tf1.train.MonitoredTrainingSession(
        checkpoint_dir=str(tmp_path), save_checkpoint_steps=5
    ) as sess:
        while not sess.should_stop():
            trained.append(int(sess.run(train, options=RUN_OPTIONS)[0]))
    assert trained == list(range(20))
    assert (tmp_path / "checkpoint").exists()
    assert not [m for m in tensorflow_warnings if "serializ" in m]


def test_monitored_training_session_raises_what_a_function_raises():
    numbers = Numbers()
    tf1.train.add_queue_runner(numbers.runner(until_end([], KeyError("bad"))))

    def train():
        with tf1.train.MonitoredTrainingSession() as sess:
            while not sess.should_stop():
                sess.run(numbers.dequeue, options=RUN_OPTIONS)

    with pytest.raises(KeyError, match="bad"):
        train()


def test_meta_graph_export_is_silent_and_complete(graph, tensorflow_warnings):
    numbers = Numbers()
    runner = numbers.runner(until_end([]), until_end([]))
    tf1.train.add_queue_runner(runner)
    tensorflow_warnings.clear()
    meta_graph = tf1.train.export_meta_graph()
    assert tensorflow_warnings == []
    key = tf1.GraphKeys.QUEUE_RUNNERS
    (exported,) = meta_graph.collection_def[key].bytes_list.value
    assert exported == runner.to_proto().SerializeToString()
    assert list(runner.to_proto().enqueue_op_name) == 2 * [
        numbers.enqueue_op.name
    ]

    # The check above sees what TensorFlow has to say.
    graph.add_to_collection(key, "not a queue runner")
    tf1.train.export_meta_graph()
    assert len(tensorflow_warnings) == 1


# Arguments.


@pytest.mark.parametrize(
    ("num_funcs", "num_tensors", "message"),
    [
        (2, 1, r"feed_tensors with one entry .*, 2; got 1\."),
        (1, 2, r"feed_dict_funcs with one entry .*, 2; got 1\."),
        (3, 3, r"feed_dict_funcs with one entry .*, 2; got 3\."),
        (0, 0, r"feed_dict_funcs with one entry .*, 2; got 0\."),
        (None, 2, r"feed_dict_funcs .*, 2; got feed_dict_funcs=None\."),
        (2, None, r"feed_tensors .*, 2; got feed_tensors=None\."),
    ],
)
def test_lists_that_do_not_pair(graph, num_funcs, num_tensors, message):
    numbers = Numbers()
    num_ops = len(graph.get_operations())
    with pytest.raises(ValueError, match=message):
        GeneralQueueRunner(
            numbers.queue,
            [numbers.enqueue_op] * 2,
            None if num_funcs is None else [int] * num_funcs,
            None if num_tensors is None else [numbers.number] * num_tensors,
        )
    assert len(graph.get_operations()) == num_ops


def test_a_function_that_cannot_be_called():
    numbers = Numbers()
    with pytest.raises(TypeError, match=r"feed_dict_funcs\[1\] as a callable"):
        numbers.runner(int, 3)


def test_a_function_or_tensor_in_place_of_a_list():
    numbers = Numbers()
    queue, ops = numbers.queue, [numbers.enqueue_op]
    with pytest.raises(TypeError, match=r"feed_dict_funcs .* as a list"):
        GeneralQueueRunner(queue, ops, int, [numbers.number])
    with pytest.raises(TypeError, match=r"feed_tensors .* as a list"):
        GeneralQueueRunner(queue, ops, [int], numbers.number)


def test_a_missing_queue_is_refused_by_the_base_class():
    numbers = Numbers()
    with pytest.raises(ValueError, match="queue and enqueue_ops"):
        GeneralQueueRunner(None, [numbers.enqueue_op], [int], [numbers.number])
    with pytest.raises(ValueError, match="queue and enqueue_ops"):
        GeneralQueueRunner(numbers.queue, [])


def test_base_arguments_are_kept():
    numbers = Numbers()
    runner = numbers.runner(int, close_op=numbers.close_op)
    assert runner.close_op is numbers.close_op
    assert runner.queue_closed_exception_types == (tf.errors.OutOfRangeError,)
    assert isinstance(runner, tf1.train.QueueRunner)
    assert "1 threads, 1 fed" in repr(runner)


class TestTheOrderOfTheBaseClass:
    """`close_op` and `cancel_op` stand third and fourth in QueueRunner."""

    def test_close_and_cancel_op(self):
        numbers = Numbers()
        cancel_op = numbers.queue.close(cancel_pending_enqueues=True)
        ops = [numbers.enqueue_op]
        for args in [
            (numbers.close_op, cancel_op),
            (numbers.close_op, cancel_op, (tf.errors.CancelledError,)),
        ]:
            runner = GeneralQueueRunner(numbers.queue, ops, *args)
            assert runner.close_op is numbers.close_op
            assert runner.cancel_op is cancel_op
        closed = runner.queue_closed_exception_types
        assert closed == (tf.errors.CancelledError,)
        only_cancel = GeneralQueueRunner(numbers.queue, ops, None, cancel_op)
        assert only_cancel.cancel_op is cancel_op
        assert only_cancel.close_op.type == "QueueCloseV2"

    @pytest.mark.parametrize("is_named", [True, False])
    def test_with_feeds(self, is_named):
        numbers = Numbers()
        funcs, tensors = [iter([1, 2]).__next__], [numbers.number]
        ops = [numbers.enqueue_op]
        if is_named:
            runner = GeneralQueueRunner(
                numbers.queue,
                ops,
                numbers.close_op,
                feed_dict_funcs=funcs,
                feed_tensors=tensors,
            )
        else:
            runner = GeneralQueueRunner(
                numbers.queue,
                ops,
                numbers.close_op,
                *[None] * 4,
                funcs,
                tensors,
            )
        assert runner.close_op is numbers.close_op
        with tf1.Session() as sess:
            for thread in runner.create_threads(sess, start=True):
                thread.join(DEADLINE_SECS)
            for expected in (1, 2):
                drawn = sess.run(numbers.dequeue, options=RUN_OPTIONS)
                assert drawn == expected
            with pytest.raises(tf.errors.OutOfRangeError):
                sess.run(numbers.dequeue, options=RUN_OPTIONS)

    def test_a_definition_of_the_base_class(self, graph):
        numbers = Numbers()
        ops = [numbers.enqueue_op]
        definition = GeneralQueueRunner(
            numbers.queue, ops, numbers.close_op
        ).to_proto()
        for runner in [
            GeneralQueueRunner.from_proto(definition),
            GeneralQueueRunner(queue_runner_def=definition),
            GeneralQueueRunner(None, None, None, None, None, definition),
        ]:
            assert runner.name == numbers.queue.name
            assert runner.close_op is numbers.close_op
            assert runner.enqueue_ops == ops

    def test_what_does_not_fit(self):
        numbers = Numbers()
        ops = [numbers.enqueue_op]
        with pytest.raises(TypeError, match="at most 9 positional"):
            GeneralQueueRunner(numbers.queue, ops, *[None] * 8)
        with pytest.raises(TypeError, match="close_op and cancel_op, as the"):
            GeneralQueueRunner(
                numbers.queue, ops, [int], [numbers.number], numbers.close_op
            )
        with pytest.raises(TypeError, match="close_op once; got it twice"):
            GeneralQueueRunner(
                numbers.queue, ops, numbers.close_op, close_op=numbers.close_op
            )
