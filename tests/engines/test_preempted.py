"""Processes of eager mode that get SIGTERM: loops, clients, who serves them."""

from __future__ import annotations

import signal
import time

import pytest

from tests.support.console import HANG_SECS, Console
from tests.support.queues import chief_of, state_of
from wq_hooks import WorkQueue

PREEMPTED = 143
GRACE_SECS = 25.0
# It takes 2 s; a loaded machine has more, and a lease is 60 s.
HAND_OVER_SECS = 20.0
NUM_FILES, NUM_LINES = 4, 5

SETUP = """
import time
import tensorflow as tf
from wq_hooks import PreemptionScope, WorkQueue

def connect(port, task, **options):
    target = f"grpc://localhost:{port}"
    return WorkQueue.connect(target, task=task, **options)

def read(queue, trained, step=lambda batch: None, shuffle=1):
    records = queue.records(tf.data.TextLineDataset).shuffle(shuffle)
    for batch in records.batch(2).to_dataset():
        step(batch)
        trained += [x.decode() for x in batch.numpy()]

@tf.function
def long_step(x):
    end = tf.timestamp() + 60.0
    tf.while_loop(lambda t: t < end, lambda _: (tf.timestamp(),), [end - 60.0])
"""


@pytest.fixture(scope="module")
def port():
    with WorkQueue(["none"], name="port") as queue:
        return queue.serve(0)


@pytest.fixture
def console():
    """Returns processes of their own."""
    consoles = []

    def new(setup=SETUP):
        consoles.append(Console(setup))
        return consoles[-1]

    yield new
    for one in consoles:
        if one.process.poll() is None:
            one.kill()


@pytest.fixture
def files(tmp_path):
    paths = []
    for i in range(NUM_FILES):
        path = tmp_path / f"{i}.txt"
        path.write_text("".join(f"{i}:{k}\n" for k in range(NUM_LINES)))
        paths.append(str(path))
    return paths


@pytest.fixture
def served(files, port):
    """An open queue, served by this process."""
    queue = WorkQueue(files, shuffle=False, is_open=True)
    queue.serve(port, on_preemption=None)
    yield queue
    queue.__exit__(AssertionError)


def lines(*numbers):
    return [f"{i}:{k}" for i in numbers for k in range(NUM_LINES)]


def wait_until(condition, secs=HANG_SECS):
    """Returns after how many seconds a condition holds."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() < begin + secs
        time.sleep(0.01)
    return time.monotonic() - begin


def stop(process):
    process.process.send_signal(signal.SIGTERM)


def in_flight(queue):
    return state_of(queue)["in_flight"]


def expect_handed_over(queue, client):
    """Checks that a client that was told to go has nothing, and ends."""
    secs = wait_until(lambda: in_flight(queue) == 0)
    assert client.wait() == PREEMPTED
    assert secs < HAND_OVER_SECS
    kinds = {event.kind for event in chief_of(queue).ledger.events.latest}
    assert "lost" not in kinds


@pytest.mark.parametrize(
    ("way", "num_held"),
    [
        # Its shuffle buffer has all there is, and asks for more.
        ("read(queue, [], shuffle=100)", NUM_FILES),
        ("read(queue, [], lambda batch: time.sleep(60))", 1),
        ("read(queue, [], long_step)", 1),
        ("[queue.take(), time.sleep(60)]", 1),
    ],
    ids=["waits", "sleeps", "in a step", "take"],
)
def test_what_a_client_holds_is_with_others_at_once(
    served, port, console, files, way, num_held
):
    client = console()
    client.run(f"queue = connect({port}, 'client')")
    client.begin(way)
    wait_until(lambda: in_flight(served) == num_held)
    if num_held > 1:
        wait_until(lambda: chief_of(served).is_somebody_asking())

    stop(client)

    expect_handed_over(served, client)
    texts = [served.take().numpy().decode() for _ in files]
    assert sorted(texts) == files


def test_a_client_acknowledges_what_it_has_trained(served, port, console):
    client = console()
    client.run(f"queue = connect({port}, 'client')")
    client.begin("read(queue, [])")
    wait_until(lambda: state_of(served)["completed"] == NUM_FILES - 1)
    wait_until(lambda: chief_of(served).is_somebody_asking())

    stop(client)

    expect_handed_over(served, client)
    # Its last batch was not known to be trained.
    assert state_of(served)["completed"] == NUM_FILES - 1


def test_a_scope_trains_what_the_pipeline_holds(served, port, console):
    client = console()
    client.run(f"queue = connect({port}, 'client')")
    client.tell("trained = []")
    client.tell(
        "def train():\n"
        "  with PreemptionScope():\n"
        "    read(queue, trained, shuffle=100)\n"
    )
    client.begin("train()")
    wait_until(lambda: in_flight(served) == NUM_FILES)
    # What is not yet in the pipeline when the signal comes goes back.
    wait_until(lambda: chief_of(served).is_somebody_asking())

    stop(client)

    expect_handed_over(served, client)
    assert state_of(served)["completed"] == NUM_FILES


def test_without_on_preemption_sigterm_is_left_alone(served, port, console):
    client = console()
    client.run(f"queue = connect({port}, 'client', on_preemption=None)")
    client.run("held = queue.take()")

    stop(client)

    assert client.wait() == -signal.SIGTERM
    assert in_flight(served) == 1


# Who serves.

SERVE = """
queue = WorkQueue({files}, shuffle=False, is_open={is_open})
checkpoint = tf.train.Checkpoint(work_queue=queue)
manager = tf.train.CheckpointManager(checkpoint, {directory}, max_to_keep=2)
checkpoint.restore(manager.latest_checkpoint).expect_partial()

def serve():
    with PreemptionScope(save=manager.save):
        return queue.join()
"""


def test_a_serving_process_leaves_the_queue_to_its_successor(
    console, files, tmp_path
):
    serve = SERVE.format(
        files=files, directory=repr(str(tmp_path / "model")), is_open=False
    )
    server, client = console(), console()
    server.tell(serve)
    port = server.ask("queue.serve(0)")
    server.begin("serve()")
    client.tell(f"queue = connect({port}, 'client')")
    client.tell("items = iter(queue.input_dataset())")
    for path in files[:2]:
        assert client.ask("next(items).numpy().decode()") == path

    begin = time.monotonic()
    stop(server)
    assert server.wait() == PREEMPTED
    assert time.monotonic() - begin < GRACE_SECS

    client.begin("[x.numpy().decode() for x in items]")
    successor = console()
    successor.tell(serve)
    successor.run(f"queue.serve({port})")
    # What the client held comes again: a lost connection is a new life.
    assert client.answer() == files[1:]
    client.run("queue.close()")
    assert successor.ask("queue.join(60)") is True


@pytest.mark.parametrize("way", ["queue.join()", "time.sleep(60)"])
def test_a_serving_process_without_a_scope_ends(console, files, way):
    server, client = console(), console()
    server.tell(f"queue = WorkQueue({files}, shuffle=False)")
    port = server.ask("queue.serve(0)")
    server.begin(way)
    client.tell(f"queue = connect({port}, 'client', timeout_secs=2.0)")
    client.run("held = queue.take()")

    begin = time.monotonic()
    stop(server)

    assert server.wait() == PREEMPTED
    # It waits for nobody: not for the lease of its client.
    assert time.monotonic() - begin < GRACE_SECS
    # The queue has not ended for those who are left.
    client.begin("queue.take()")
    with pytest.raises(AssertionError, match="WorkQueueError"):
        client.answer()


# A loop over a queue of its own.

LOOP = """
import os, signal, threading
from wq_hooks.engines import engine_of

def stop_when_waiting():
    def is_waiting():
        chief = engine_of(queue).chief
        return chief.is_somebody_asking() and not chief.ledger.has_to_issue()

    def run():
        while not is_waiting():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=run, daemon=True).start()

model = tf.Variable(tf.zeros([{total}], tf.int32))
queue = WorkQueue({files}, shuffle=False, is_open={is_open})
checkpoint = tf.train.Checkpoint(work_queue=queue, model=model)
manager = tf.train.CheckpointManager(checkpoint, {directory}, max_to_keep=2)
checkpoint.restore(manager.latest_checkpoint)

def train(num_steps=None):
    records = queue.records(tf.data.TextLineDataset).shuffle({shuffle})
    batches = records.batch(2).to_dataset()
    with PreemptionScope(save=manager.save) as scope:
        for number, batch in enumerate(batches):
            parts = tf.strings.split(batch, ":").to_tensor()
            parts = tf.strings.to_number(parts, tf.int32)
            index = parts[:, :1] * {num_lines} + parts[:, 1:]
            model.scatter_nd_add(index, tf.ones_like(index[:, 0]))
            if number == num_steps:
                os.kill(os.getpid(), signal.SIGTERM)
        return "at the end"
"""


@pytest.mark.parametrize("num_steps", [None, 0, 3])
@pytest.mark.parametrize("shuffle", [1, 100])
def test_a_loop_with_a_scope_saves_and_goes_on(
    console, files, tmp_path, shuffle, num_steps
):
    args = {
        "files": files,
        "directory": repr(str(tmp_path / "model")),
        "shuffle": shuffle,
        "total": NUM_FILES * NUM_LINES,
        "num_lines": NUM_LINES,
    }
    first, second = console(), console()
    for process, is_open in ((first, num_steps is None), (second, False)):
        process.tell(LOOP.format(is_open=is_open, **args))
    if num_steps is None:
        first.tell("stop_when_waiting()")
    first.begin(f"train({num_steps})")
    assert first.wait() == PREEMPTED

    assert second.ask("train()") == "at the end"
    assert second.ask("model.numpy().tolist()") == [1] * NUM_FILES * NUM_LINES
