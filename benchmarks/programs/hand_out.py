"""A task that trains items by sleeping, however it gets them, job after job.

Prints `START <job>`, for each item `STEP <job> <item> <records> <begin> <end>`
(in seconds of the clock that all processes share), and `END <job>`.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from benchmarks.jobs import Load
from benchmarks.programs.garbage import freeze_garbage
from wq_hooks import WorkQueue, WorkQueueHook
from wq_hooks.core.items.slice_text import parse_slice

tf1 = tf.compat.v1

_LIMIT_SECS = 200.0


class _Records:
    """A source whose records are the numbers in its name."""

    def __init__(self, name: str):
        self.name = name

    def count_records(self) -> int:
        """Returns the number in the name."""
        return int(self.name.rpartition("=")[2])

    def read(self, start: int, end: int) -> Iterator[int]:
        """Yields the records."""
        yield from range(start, end)


def main() -> None:
    """Runs one task of TF_CONFIG."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--directory", help="of files that tell what is ready")
    parser.add_argument("--loads", help="JSON list of benchmarks.jobs.Load")
    parser.add_argument("--service", type=int, help="port of tf.data service")
    args = parser.parse_args()
    loads = [Load(**fields) for fields in json.loads(args.loads)]
    tf_config = json.loads(os.environ["TF_CONFIG"])
    job, index = tf_config["task"]["type"], tf_config["task"]["index"]
    cluster = tf_config["cluster"]
    kept = []
    if job == "ps" and any(load.how == "data_service" for load in loads):
        kept += _data_servers(args.service)
    server = tf.distribute.Server(cluster, job_name=job, task_index=index)
    if job == "ps":
        server.join()
    setter = tf1.train.replica_device_setter(
        cluster=cluster, worker_device=f"/job:{job}/task:{index}"
    )
    trainer = 0 if job == "chief" else 1 + index
    num_trainers = 1 + len(cluster.get("worker", []))
    config = tf1.ConfigProto(
        device_filters=["/job:ps", f"/job:{job}/task:{index}"]
    )
    for number, load in enumerate(loads):
        ready = Path(args.directory, f"ready-{number}")
        if job != "chief":
            # Whoever comes before the model would wait for 30 s.
            _wait_for(ready)
        with (
            tf.Graph().as_default(),
            tf1.container(f"job-{number}"),
            tf1.device(setter),
        ):
            item = _item(load, number, trainer, num_trainers, args.service)
            with tf1.train.MonitoredTrainingSession(
                server.target,
                is_chief=job == "chief",
                hooks=[WorkQueueHook()] if _is_queue(load) else [],
                save_summaries_steps=None,
                config=config,
            ) as session:
                ready.touch()
                freeze_garbage()
                print("START", number, flush=True)
                _wait_for(Path(args.directory, f"gate-{number}"))
                _train(session, item, number, load)
        print("END", number, flush=True)
    # Sessions of the others need this server until they end.
    os._exit(0)


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + _LIMIT_SECS
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Expected {path.name} within {_LIMIT_SECS} s.")
        time.sleep(0.01)


def _is_queue(load: Load) -> bool:
    return load.how in ("queue", "auto")


def _item(
    load: Load, number: int, trainer: int, num_trainers: int, service: int
) -> Any:
    tf1.train.get_or_create_global_step()
    works = list(load.works)
    if load.how == "queue":
        return WorkQueue(
            works, shuffle=False, lease_secs=load.lease_secs
        ).take()
    if load.how == "auto":
        return WorkQueue(
            works, shuffle=False, num_slices="auto", source=_Records
        ).take()
    if load.how == "fifo":
        # The works in one queue on the parameter server, for everybody.
        with tf1.device("/job:ps/task:0/cpu:0"):
            queue = tf1.FIFOQueue(
                len(works), [tf.string], [()], shared_name=f"works-{number}"
            )
        if trainer == 0:
            # As string_input_producer does: once through the list, then the
            # runner closes the queue.
            once = tf1.train.limit_epochs(tf.constant(works), 1)
            runner = tf1.train.QueueRunner(queue, [queue.enqueue_many([once])])
            tf1.add_to_collection(tf1.GraphKeys.QUEUE_RUNNERS, runner)
        return queue.dequeue()
    if load.how == "static":
        dataset = tf.data.Dataset.from_tensor_slices(
            works[trainer::num_trainers]
        )
    else:
        dataset = tf.data.Dataset.from_tensor_slices(works)
        dataset = dataset.apply(
            tf.data.experimental.service.distribute(
                processing_mode=tf.data.experimental.service.ShardingPolicy.DYNAMIC,
                service=f"grpc://127.0.0.1:{service}",
                job_name=f"works-{number}",
                max_outstanding_requests=1,
            )
        )
    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False
    iterator = tf1.data.make_initializable_iterator(
        dataset.with_options(options)
    )
    tf1.add_to_collection(
        tf1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer
    )
    return iterator.get_next()


def _train(session: Any, item: Any, number: int, load: Load) -> None:
    """Trains all items; the end of data leaves the session's block."""
    slow_factor = float(os.environ.get("WQ_HOOKS_SLOW", "1"))
    first_begin = None
    while not session.should_stop():
        text = session.run(item).decode()
        begin = now = time.time()
        first_begin = first_begin or begin
        num_records = _num_records(text)
        for _ in range(num_records):
            is_slow = now - first_begin >= load.turns_slow_after
            # What a sleep is late by does not add up.
            now += load.record_secs * (slow_factor if is_slow else 1.0)
            time.sleep(max(0.0, now - time.time()))
        end = time.time()
        print("STEP", number, text, num_records, begin, end, flush=True)


def _num_records(text: str) -> int:
    part = parse_slice(text)
    if part.start is not None and part.end is not None:
        return part.end - part.start
    return int(part.path.rpartition("=")[2])


def _data_servers(port: int) -> list[Any]:
    """Starts a tf.data service of one worker in this process."""
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer(service.DispatcherConfig(port=port))
    worker = service.WorkerServer(
        service.WorkerConfig(dispatcher_address=f"127.0.0.1:{port}")
    )
    return [dispatcher, worker]


if __name__ == "__main__":
    main()
