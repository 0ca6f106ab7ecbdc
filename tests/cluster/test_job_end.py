"""When the chief's end is the end of the job, in sessions; see `EndPolicy`."""

from __future__ import annotations

import threading
import time
import uuid

import pytest
import tensorflow as tf

from tests.support.in_process_cluster import Background, InProcessCluster
from tests.support.sessions import STOP_SECS, draw, wait_until
from tests.support.trainers import WORKS, Trainer, bare
from wq_hooks import WorkQueueHook
from wq_hooks.engines import engine_of

tf1 = tf.compat.v1


@pytest.fixture(scope="module")
def cluster():
    return InProcessCluster(num_workers=2)


class Job:
    """A chief that comes and goes, and a worker that stays."""

    def __init__(self, cluster, directory, **args):
        self._args = (cluster, uuid.uuid4().hex)
        self._directory = str(directory)
        self._queue_args = args
        self.started = threading.Event()
        self.started.set()

    def begin_worker(self, hooks=()):
        cluster, container = self._args
        self.worker = Trainer(cluster, 1, container, **self._queue_args)
        is_ready = threading.Event()
        self.working = Background(
            lambda: self.worker.train(
                is_chief=False,
                is_ready=is_ready,
                may_train=self.started,
                hooks=hooks,
            )
        )
        wait_until(lambda: is_ready.is_set() or self.working.is_done)

    def begin_chief(self, hooks=(), **args):
        """Returns (task, thread) when the model is initialised."""
        cluster, container = self._args
        chief = Trainer(cluster, 0, container, **self._queue_args)
        is_ready = threading.Event()
        thread = Background(
            lambda: chief.train(
                is_chief=True,
                is_ready=is_ready,
                hooks=hooks,
                directory=self._directory,
                save_checkpoint_steps=1000,
                save_checkpoint_secs=None,
                **{"may_train": self.started, **args},
            )
        )
        wait_until(lambda: is_ready.is_set() or thread.is_done)
        return chief, thread


@pytest.mark.parametrize("with_hook", [False, True])
@pytest.mark.parametrize("way", ["num_steps", "loop", "asked for"])
def test_a_chief_that_comes_back_finds_its_workers(
    cluster, tmp_path, with_hook, way
):
    hooks = [WorkQueueHook()] if with_hook else []
    job = Job(cluster, tmp_path, num_epochs=50)
    stops = {
        "num_steps": [tf1.train.StopAtStepHook(num_steps=3)],
        "asked for": [StopWhen(lambda step: step >= 3)],
        "loop": [],
    }[way]
    chief, thread = job.begin_chief(
        [*hooks, *stops], num_steps=3 if way == "loop" else None
    )
    job.begin_worker([WorkQueueHook()] if with_hook else [])
    first = thread.result()
    assert len(first) >= 1
    # It takes what lies ready, and then waits.
    service = engine_of(job.worker.queue)._last_service
    num_work = engine_of(job.worker.queue).mailbox.num_work
    wait_until(lambda: service.session.run(num_work) == 0)
    num_before = len(job.worker.names)
    second, thread = job.begin_chief([WorkQueueHook()] if with_hook else [])
    trained = thread.result() + first + job.working.result()
    for work in WORKS:
        assert trained.count(work) >= 50
    assert len(job.worker.names) > num_before
    assert engine_of(chief.queue).role.is_chief
    assert engine_of(second.queue).role.is_chief


@pytest.mark.parametrize("with_hook", [False, True])
def test_at_the_last_step_of_the_job_the_others_get_the_end(
    cluster, tmp_path, with_hook
):
    hooks = [[WorkQueueHook()] if with_hook else [] for _ in range(2)]
    job = Job(cluster, tmp_path, num_epochs=50)
    stop = tf1.train.StopAtStepHook(last_step=3)
    _, thread = job.begin_chief([*hooks[0], stop])
    # It was asked for no last step, so nothing else would end it.
    job.begin_worker(hooks[1])
    num_trained = len(thread.result()) + len(job.working.result())
    assert 3 <= num_trained < 50 * len(WORKS)


class StopWhen(tf1.train.SessionRunHook):
    """Asks for a stop, as a handler of SIGTERM would."""

    def __init__(self, condition):
        self._condition = condition
        self._num_steps = 0

    def after_run(self, run_context, run_values):
        del run_values
        self._num_steps += 1
        if self._condition(self._num_steps):
            run_context.request_stop()


@pytest.mark.parametrize("source", ["take", "dataset", "producer"])
@pytest.mark.parametrize("stop", ["last_step", "num_steps"])
def test_a_worker_that_waits_at_its_own_last_step_leaves(
    cluster, tmp_path, source, stop
):
    """Its hook cannot see that: it waits inside a step."""
    job = Job(cluster, tmp_path, works=["a"], is_open=True, source=source)
    hook = tf1.train.StopAtStepHook(**{stop: 1})
    may_train = threading.Event()
    _, thread = job.begin_chief([hook], may_train=may_train)
    job.started.clear()
    own = tf1.train.StopAtStepHook(**{stop: 1})
    job.begin_worker([own])
    # The chief takes all there is, and hands it back.
    may_train.set()
    thread.result()
    begin = time.monotonic()
    job.started.set()
    assert job.working.result(60) == []
    assert time.monotonic() - begin < STOP_SECS


def test_in_bare_sessions(cluster):
    container = uuid.uuid4().hex
    worker = Trainer(cluster, 1, container, num_epochs=50)
    first = Trainer(cluster, 0, container, num_epochs=50)
    with bare(first, init=True) as (session, _):
        draw(session, first.item, 1)
    with bare(worker) as (session, _):
        drawing = Background(draw, session, worker.item)
        second = Trainer(cluster, 0, container, num_epochs=50)
        with bare(second, init=True) as (other, _):
            drawn = draw(other, second.item)
            drawn += drawing.result()
        assert all(drawn.count(work) >= 50 for work in WORKS)


def test_at_the_end_of_data_the_others_get_the_end(cluster, tmp_path):
    job = Job(cluster, tmp_path)
    _, thread = job.begin_chief()
    job.begin_worker()
    assert sorted(thread.result() + job.working.result()) == sorted(WORKS)
    # Also who comes later.
    job.begin_worker()
    assert job.working.result() == []


def test_an_open_queue_stays_open_for_the_next_chief(cluster, tmp_path):
    job = Job(cluster, tmp_path, works=["a"], is_open=True)
    chief, thread = job.begin_chief([tf1.train.StopAtStepHook(num_steps=1)])
    thread.result()
    job.begin_worker()
    chief, thread = job.begin_chief()
    chief.queue.add_works(["b", "c"])
    chief.queue.close_works()
    trained = thread.result() + job.working.result()
    assert set(trained) >= {"b", "c"}
