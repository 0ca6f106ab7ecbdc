"""Sessions in this process, for tests, and how to wait for something."""

from __future__ import annotations

import contextlib
import time

import tensorflow as tf

from wq_hooks import WorkQueue

tf1 = tf.compat.v1

# Only so that a hang fails.
DEADLINE_SECS = 60
RUN_OPTIONS = tf1.RunOptions(timeout_in_ms=DEADLINE_SECS * 1000)
# How soon everything is over after a stop.
STOP_SECS = 5


def wait_until(condition, *, secs=DEADLINE_SECS):
    """Returns the first true value of `condition`, or fails."""
    deadline = time.monotonic() + secs
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, "the condition has not come true"
        time.sleep(0.01)


def initializers():
    return [
        tf1.global_variables_initializer(),
        tf1.local_variables_initializer(),
        tf1.tables_initializer(),
    ]


@contextlib.contextmanager
def running(session, *, init=None):
    """Runs the graph's queue runners in a session, and joins them in time."""
    session.run(initializers() if init is None else init)
    coord = tf1.train.Coordinator()
    threads = tf1.train.start_queue_runners(session, coord)
    try:
        yield session
    finally:
        begin = time.monotonic()
        coord.request_stop()
        coord.join(threads, stop_grace_period_secs=DEADLINE_SECS)
        assert time.monotonic() - begin < STOP_SECS
        assert not any(thread.is_alive() for thread in threads)


@contextlib.contextmanager
def raw_session(target="", *, config=None, init=None):
    """A session without hooks, whose queue runners run."""
    with (
        tf1.Session(target, config=config) as session,
        running(session, init=init),
    ):
        yield session


def draw(session, fetch, num=None):
    """Returns what `fetch` gives: `num` times, or up to the end of data."""
    results = []
    try:
        while num is None or len(results) < num:
            results.append(session.run(fetch, options=RUN_OPTIONS))
    except tf.errors.OutOfRangeError:
        assert num is None, f"end of data after {results}"
    return [decoded(result) for result in results]


def decoded(value):
    return value.decode() if isinstance(value, bytes) else value


def element_of(dataset):
    """Returns the next element of a dataset, whose iterator is initialised."""
    iterator = tf1.data.make_initializable_iterator(dataset)
    tf1.add_to_collection(
        tf1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer
    )
    return iterator.get_next()


def item_of(queue, source):
    """Returns the tensor of the next item, through one of four doors."""
    if source == "take":
        return queue.take()
    if source == "records":
        reader = tf.data.Dataset.from_tensors
        return element_of(queue.records(reader).to_dataset())
    if source == "producer":
        return tf.reshape(queue.input_producer().dequeue(), [])
    return element_of(queue.input_dataset())


def train(
    works,
    *,
    source="take",
    directory=None,
    last_step=None,
    num_steps=None,
    hooks=(),
    saver=None,
    hook_of=None,
    queue_args=None,
    before=lambda queue: None,
    step_hook=None,
    **session_args,
):
    """Trains an item a step in a MonitoredTrainingSession.

    Args:
      works: Works of the queue; None: there is no queue, and every item is "".
      source: "take", "dataset" or "producer".
      directory: Directory of the checkpoints.
      last_step: Where StopAtStepHook stops.
      num_steps: Where the loop breaks off.
      hooks: Hooks for the session.
      saver: None or a function that returns the Saver of the Scaffold.
      hook_of: Returns one more hook for (queue, scaffold).
      queue_args: Arguments for the WorkQueue.
      before: Called with the queue before the session starts.
      step_hook: Called with (queue, item) after each step.
      **session_args: **session args for the session.

    Returns:
      [(item, global step), ...].
    """
    steps = []
    with tf.Graph().as_default():
        step = tf1.train.get_or_create_global_step()
        queue, item = None, tf.constant("")
        if works is not None:
            queue = WorkQueue(works, **{"shuffle": False, **(queue_args or {})})
            item = item_of(queue, source)
        with tf.control_dependencies([item]):
            stepped = step.assign_add(1)
        scaffold = None if saver is None else tf1.train.Scaffold(saver=saver())
        hooks = list(hooks)
        if last_step is not None:
            hooks.append(tf1.train.StopAtStepHook(last_step=last_step))
        if hook_of is not None:
            hooks.append(hook_of(queue, scaffold))
        before(queue)
        session_args = {
            "save_checkpoint_steps": 1 if directory else None,
            "save_checkpoint_secs": None,
            "save_summaries_steps": None,
            "log_step_count_steps": None,
            **session_args,
        }
        with tf1.train.MonitoredTrainingSession(
            checkpoint_dir=None if directory is None else str(directory),
            hooks=hooks,
            scaffold=scaffold,
            **session_args,
        ) as session:
            while not session.should_stop():
                name, number = session.run([item, stepped])
                steps.append((decoded(name), int(number)))
                if step_hook is not None:
                    step_hook(queue, steps[-1][0])
                if num_steps is not None and len(steps) == num_steps:
                    break
    return steps


def items(steps):
    return [item for item, _ in steps]
