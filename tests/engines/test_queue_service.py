"""Queues that are served, with the others in processes of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
import tensorflow as tf

from tests.support.console import HANG_SECS, Console
from tests.support.queues import chief_of, state_of
from wq_hooks import WorkQueue, WorkQueueCallback, WorkQueueCheckpoint
from wq_hooks.core.protocol import service_record
from wq_hooks.engines import engine_of
from wq_hooks.errors import WorkQueueError

WORKS = [f"f{i}" for i in range(6)]

SETUP = """
import tensorflow as tf
from wq_hooks import WorkQueue

def texts(dataset):
    return [x.decode() for x in dataset.as_numpy_iterator()]

def connect(port, task, name="work_queue", **options):
    target = f"grpc://localhost:{port}"
    return WorkQueue.connect(target, name, task=task, **options)
"""


@pytest.fixture(scope="module")
def pool():
    """Processes that wait for work, since TensorFlow loads for seconds."""
    consoles = [Console(SETUP) for _ in range(2)]
    yield consoles
    for console in consoles:
        console.kill()


@pytest.fixture
def clients(pool):
    """Two processes."""
    for i, console in enumerate(pool):
        if console.process.poll() is not None:
            pool[i] = Console(SETUP)
    return pool


@pytest.fixture(scope="module")
def port():
    """The port of this process' server."""
    with WorkQueue(["none"], name="port") as queue:
        return queue.serve(0)


@pytest.fixture
def new_queue(port):
    """Returns queues that are served on the port."""
    queues = []

    def new(works=WORKS, **options):
        serve = {k: options.pop(k) for k in ("in_step",) if k in options}
        queue = WorkQueue(works, **{"shuffle": False, **options})
        queues.append(queue)
        queue.serve(port, **serve)
        return queue

    yield new
    for queue in queues:
        # Nobody is waited for.
        queue.__exit__(AssertionError)


def texts(dataset):
    return [x.decode() for x in dataset.as_numpy_iterator()]


def wait_until(condition):
    deadline = time.monotonic() + HANG_SECS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def in_flight(queue):
    return state_of(queue)["in_flight"]


# In other processes.


def test_two_processes_share_all_items(new_queue, port, clients):
    queue = new_queue(WORKS, num_epochs=3)

    for i, client in enumerate(clients):
        client.tell(f"queue = connect({port}, 'worker:{i}')")
        client.begin("texts(queue.input_dataset())")
    answers = [client.answer() for client in clients]

    assert sorted(answers[0] + answers[1]) == sorted(WORKS * 3)
    assert engine_of(queue).is_done
    for client in clients:
        client.run("queue.close()")
    assert queue.join(HANG_SECS)
    assert [w["name"] for w in state_of(queue)["workers"]] == [
        "worker:0",
        "worker:1",
    ]


def test_what_a_killed_process_held_goes_to_the_others(
    new_queue, port, clients
):
    new_queue(WORKS, lease_secs=6.0)
    killed, other = clients
    killed.tell(f"queue = connect({port}, 'killed')")
    killed.tell("items = iter(queue.input_dataset())")
    assert killed.ask("[next(items).numpy().decode() for _ in 'ab']") == [
        "f0",
        "f1",
    ]

    killed.kill()
    other.tell(f"queue = connect({port}, 'other')")

    # It stays, with nothing to do, until the lease of the other has ended.
    assert other.ask("texts(queue.input_dataset())") == [*WORKS[2:], "f1"]
    other.run("queue.close()")


def test_who_comes_back_gives_up_at_once_what_it_held(new_queue, port, clients):
    queue = new_queue(WORKS, lease_secs=3600.0)
    killed, heir = clients
    killed.tell(f"queue = connect({port}, 'worker:0')")
    assert killed.ask("queue.take().numpy().decode()") == "f0"

    killed.kill()
    heir.tell(f"queue = connect({port}, 'worker:0')")

    assert heir.ask("texts(queue.input_dataset())") == [*WORKS[1:], "f0"]
    heir.run("queue.close()")
    assert queue.join(HANG_SECS)


def test_no_record_is_lost_behind_a_shuffle(new_queue, port, clients, tmp_path):
    paths = []
    for i in range(8):
        paths.append(str(tmp_path / f"{i}.txt"))
        with open(paths[-1], "w") as file:
            file.write("".join(f"{i}:{k}\n" for k in range(10)))
    queue = new_queue(paths, lease_secs=6.0)
    killed, other = clients
    for client, task in ((killed, "killed"), (other, "other")):
        client.tell(f"queue = connect({port}, '{task}')")
        client.tell("records = queue.records(tf.data.TextLineDataset)")
        client.tell("records = records.shuffle(25).batch(4).to_dataset()")
        client.tell(
            "def read(batches):\n"
            "  return [r.decode() for b in batches for r in b.numpy()]"
        )
    killed.tell("batches = iter(records)")
    killed.tell("import itertools")
    trained = killed.ask("read(itertools.islice(batches, 6))")
    killed.kill()

    rest = other.ask("read(records)")

    assert set(trained) | set(rest) == {
        f"{i}:{k}" for i in range(8) for k in range(10)
    }
    other.run("queue.close()")
    assert queue.join(HANG_SECS)


def test_a_server_goes_on_from_its_position_on_the_same_port(clients, tmp_path):
    serve = (
        f"queue = WorkQueue({WORKS!r}, shuffle=False)\n"
        "checkpoint = tf.train.Checkpoint(work_queue=queue)\n"
        f"manager = tf.train.CheckpointManager(checkpoint, {str(tmp_path)!r},"
        " max_to_keep=2)\n"
        "checkpoint.restore(manager.latest_checkpoint).expect_partial()\n"
    )
    server, client = clients
    server.tell(serve)
    port = server.ask("queue.serve(0)")
    client.tell(f"queue = connect({port}, 'client')")
    client.tell("items = iter(queue.input_dataset())")
    for i in range(3):
        assert client.ask("next(items).numpy().decode()") == f"f{i}"
    server.run("manager.save()")
    assert client.ask("next(items).numpy().decode()") == "f3"

    server.kill()
    with pytest.raises(AssertionError, match="process has ended"):
        server.answer()
    client.begin("[x.numpy().decode() for x in items]")
    server = Console(SETUP)
    try:
        server.tell(serve)
        server.run(f"queue.serve({port})")

        # f2 was in flight at the save, and f3 not yet handed out.
        assert client.answer() == ["f2", "f3", "f4", "f5"]
        client.run("queue.close()")
        assert server.ask("queue.join(60)") is True
    finally:
        server.kill()


def test_a_server_that_is_gone_is_an_error_within_a_time_limit(clients):
    server, client = clients
    server.tell("queue = WorkQueue(['a', 'b'], lease_secs=2.0)")
    port = server.ask("queue.serve(0)")
    client.tell(f"queue = connect({port}, 'client', timeout_secs=2.0)")
    client.ask("len(queue.take().numpy())")

    server.kill()

    client.begin("queue.take()")
    with pytest.raises(AssertionError, match=f"grpc://localhost:{port}; nobod"):
        client.answer()
    client.run("queue.close()")


@pytest.mark.parametrize(
    "read", ["len(queue.take().numpy())", "texts(queue.input_dataset())"]
)
def test_ctrl_c_ends_a_process_that_waits(new_queue, port, clients, read):
    queue = new_queue(["a"], is_open=True)
    client = clients[0]
    client.tell(f"queue = connect({port}, 'client')")
    client.begin(read)
    if "take" in read:
        client.answer()
        client.begin(read)
    wait_until(lambda: state_of(queue)["completed"] == 1)

    client.process.send_signal(signal.SIGINT)

    # It has 5 s; a loaded machine has more.
    begin = time.monotonic()
    assert client.wait() != 0
    assert time.monotonic() - begin < 30
    wait_until(lambda: not chief_of(queue).others(engine_of(queue).task.name))


def test_processes_that_just_end_have_left(new_queue, port):
    queue = new_queue(WORKS)
    client = Console(SETUP)
    client.tell(f"queue = connect({port}, 'client')")
    client.tell("records = queue.records(tf.data.Dataset.from_tensors)")
    assert client.ask("texts(records.to_dataset())") == WORKS

    client.process.stdin.close()

    # Nobody waits for the end of a lease.
    assert queue.join(50.0)
    assert client.wait() == 0


# In this process.


def test_the_process_that_serves_reads_too_and_leaves_last(new_queue, port):
    queue = new_queue(["a", "b"], lease_secs=6.0)
    # One that falls silent with an item in its hands.
    other = WorkQueue.connect(f"grpc://localhost:{port}", task="other")
    engine_of(other).service._beat_secs = None
    held = other.take().numpy().decode()

    mine = texts(queue.input_dataset())

    assert held == "a"
    assert mine == ["b", "a"]
    other.close()


def num_connections_to(port):
    """How many connections of this process lead to a port."""
    links = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(os.readlink(link))
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    return sum(
        int(row[2].rpartition(":")[2], 16) == port
        and f"socket:[{row[9]}]" in links
        for row in rows
    )


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="looks at /proc/net/tcp"
)
def test_the_process_that_serves_reads_through_no_socket_of_its_own(
    new_queue, port
):
    queue = new_queue()
    assert [queue.take().numpy().decode() for _ in range(3)] == WORKS[:3]
    assert num_connections_to(port) == 0
    with WorkQueue.connect(f"grpc://127.0.0.1:{port}", "work_queue") as other:
        other.take()
        # Another address is another session, which takes the socket.
        assert num_connections_to(port) > 0


def test_in_step_nobody_waits_for_what_others_hold(new_queue, port):
    queue = new_queue(["a", "b"], in_step=True)
    other = WorkQueue.connect(f"grpc://localhost:{port}", task="other")
    assert other.take().numpy() == b"a"

    assert texts(queue.input_dataset()) == ["b"]
    other.close()


def test_close_ends_the_others_and_waits_for_them(new_queue, port):
    queue = new_queue(["a", "b", "c"])
    other = WorkQueue.connect(f"grpc://localhost:{port}", task="other")
    assert other.take().numpy() == b"a"
    closing = threading.Thread(target=queue.close)
    closing.start()

    # What waits in the mailbox may still come.
    assert len(texts(other.input_dataset())) <= 2
    other.close()
    closing.join(HANG_SECS)

    assert not closing.is_alive()


def test_a_reader_that_waits_ends_when_its_queue_is_closed(new_queue, port):
    queue = new_queue(["a"], is_open=True)
    other = WorkQueue.connect(f"grpc://localhost:{port}", task="other")
    dataset = other.input_dataset()

    def read_all():
        with contextlib.suppress(tf.errors.OpError):
            list(dataset)

    read = threading.Thread(target=read_all)
    read.start()
    wait_until(lambda: state_of(queue)["completed"] == 1)

    other.close()

    read.join(HANG_SECS)
    assert not read.is_alive()


def test_a_position_that_is_restored_counts_for_all(new_queue, port):
    queue = new_queue(WORKS)
    other = WorkQueue.connect(f"grpc://localhost:{port}", task="other")
    begin = queue.snapshot()
    assert texts(other.input_dataset().take(3)) == WORKS[:3]

    queue.restore(begin)

    assert texts(other.input_dataset()) == WORKS
    other.close()


@pytest.mark.filterwarnings(
    "ignore:.*input ran out of data:UserWarning",
    "ignore:`shuffle=True` was passed:UserWarning",
)
def test_fit_with_a_queue_that_is_served_elsewhere(new_queue, port):
    serving = new_queue([str(i) for i in range(8)])
    queue = WorkQueue.connect(f"grpc://localhost:{port}", task="other")
    model = tf.keras.Sequential(
        [tf.keras.layers.Input((1,)), tf.keras.layers.Dense(1)]
    )
    model.compile("sgd", "mse")

    def numbers(text):
        x = tf.strings.to_number(text)[tf.newaxis]
        return tf.data.Dataset.from_tensors((x, x))

    dataset = queue.records(numbers).batch(2).to_dataset()
    model.fit(dataset, callbacks=[WorkQueueCallback(queue)], verbose=0)

    queue.close()
    wait_until(lambda: engine_of(serving).is_done)
    assert state_of(serving)["repeated"] == 0


def test_two_queues_of_one_process_share_a_server(new_queue, port):
    new_queue(["a"], name="train")
    new_queue(["b"], name="valid")
    for name, text in (("train", "a"), ("valid", "b")):
        other = WorkQueue.connect(f"grpc://localhost:{port}", name)
        assert len(other) == 1
        assert texts(other.input_dataset()) == [text]
        other.close()


# What is refused.


def test_a_port_that_is_taken():
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            WorkQueue(["a"]) as queue,
            pytest.raises(WorkQueueError, match=f"port={port}"),
        ):
            queue.serve(port)


def test_wrong_ports():
    with WorkQueue(["a"]) as queue:
        with pytest.raises(ValueError, match="port=65536"):
            queue.serve(65536)
        with pytest.raises(TypeError, match="'2222'"):
            queue.serve("2222")


def test_nobody_there():
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        target = f"grpc://localhost:{taken.getsockname()[1]}"
        with pytest.raises(WorkQueueError, match=f"{target}; nobody .* 1 s"):
            WorkQueue.connect(target, timeout_secs=1.0)


def test_a_wrong_target():
    with pytest.raises(ValueError, match="'localhost:1'"):
        WorkQueue.connect("localhost:1")
    with pytest.raises(WorkQueueError, match="'http://localhost:1'"):
        WorkQueue.connect("http://localhost:1")


def test_a_wrong_name(new_queue, port):
    new_queue(["a"], name="train")
    target = f"grpc://localhost:{port}"
    with pytest.raises(WorkQueueError, match="named 'valid'; it serves 'trai"):
        WorkQueue.connect(target, name="valid", timeout_secs=1.0)


def test_another_format(new_queue, port, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(service_record, "FORMAT", 2)
        new_queue(["a"])
    with pytest.raises(WorkQueueError, match=r"in format 1, .* in format 2"):
        WorkQueue.connect(f"grpc://localhost:{port}")


def test_serve_after_reading():
    with WorkQueue(["a"]) as queue:
        queue.take()
        with pytest.raises(WorkQueueError, match="before anything is read"):
            queue.serve(0)
        with pytest.raises(WorkQueueError, match="is served; 'work_queue' is "):
            queue.join()


def test_serve_twice(new_queue, port):
    queue = new_queue()
    with pytest.raises(WorkQueueError, match=f"on port {port}"):
        queue.serve(port)


def test_graph_mode():
    with tf.Graph().as_default():
        queue = WorkQueue(["a"])
        for call in (lambda: queue.serve(0), queue.join, queue.close):
            with pytest.raises(WorkQueueError, match="eager mode"):
                call()
        with pytest.raises(WorkQueueError, match="eager mode"), queue:
            pass
        with pytest.raises(WorkQueueError, match="in eager mode; got a graph"):
            WorkQueue.connect("grpc://localhost:1")


def test_the_position_is_the_servers(new_queue, port, tmp_path):
    new_queue()
    queue = WorkQueue.connect(f"grpc://localhost:{port}", task="a")
    checkpoint = tf.train.Checkpoint(work_queue=queue)
    for call in (
        queue.snapshot,
        lambda: queue.restore("{}"),
        lambda: checkpoint.save(str(tmp_path / "model")),
        lambda: WorkQueueCheckpoint(queue, tmp_path),
        lambda: WorkQueueCallback(queue, beside=tmp_path),
        lambda: queue.add_works(["a"]),
        lambda: queue.works,
        lambda: queue.serve(0),
        queue.join,
    ):
        with pytest.raises(WorkQueueError, match="the process that serves"):
            call()
    queue.close()


def test_wrong_names_of_tasks():
    for task in ("worker 1", "a/b", ""):
        with pytest.raises(ValueError, match="without blanks"):
            WorkQueue.connect("grpc://localhost:1", task=task)
    with pytest.raises(TypeError, match="task to be a str"):
        WorkQueue.connect("grpc://localhost:1", task=1)
