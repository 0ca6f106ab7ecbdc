"""A task that trains items by sleeping, however it gets them.

Prints `START`, then `STEP <item> <begin> <end>` for each item, in seconds of
the clock that all processes of a machine share.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from wq_hooks import WorkQueue, WorkQueueHook

tf1 = tf.compat.v1

HOWS = ("queue", "static", "fifo", "data_service")


def main() -> None:
    """Runs one task of TF_CONFIG."""
    args = _parse_args()
    config = json.loads(os.environ["TF_CONFIG"])
    job, index = config["task"]["type"], config["task"]["index"]
    cluster = config["cluster"]
    kept = []
    if args.how == "data_service" and job == "ps":
        kept += _data_servers(args.service)
    server = tf.distribute.Server(cluster, job_name=job, task_index=index)
    if job == "ps":
        server.join()
    setter = tf1.train.replica_device_setter(
        cluster=cluster, worker_device=f"/job:{job}/task:{index}"
    )
    trainer = 0 if job == "chief" else 1 + index
    num_trainers = 1 + len(cluster.get("worker", []))
    with tf.Graph().as_default(), tf1.device(setter):
        item = _item(args, trainer, num_trainers)
        with tf1.train.MonitoredTrainingSession(
            server.target,
            is_chief=job == "chief",
            hooks=[WorkQueueHook()] if args.how == "queue" else [],
            save_summaries_steps=None,
            config=tf1.ConfigProto(
                device_filters=["/job:ps", f"/job:{job}/task:{index}"]
            ),
        ) as session:
            for text in _items(session, item, args.gate):
                _train(text, args)


def _parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--how", choices=HOWS)
    parser.add_argument("--gate", help="wait until this file exists")
    parser.add_argument("--works", help="JSON list of `name=records`")
    parser.add_argument("--record_secs", type=float)
    parser.add_argument("--service", type=int, help="port of tf.data service")
    parser.add_argument("--turns_slow_after", type=float, default=0.0)
    parser.add_argument("--lease_secs", type=float, default=60.0)
    args = parser.parse_args()
    args.works = json.loads(args.works)
    args.begin = None
    return args


def _item(args: argparse.Namespace, trainer: int, num_trainers: int) -> Any:
    tf1.train.get_or_create_global_step()
    if args.how == "queue":
        return WorkQueue(
            args.works, shuffle=False, lease_secs=args.lease_secs
        ).take()
    if args.how == "fifo":
        # The works in one queue on the parameter server, for everybody.
        with tf1.device("/job:ps/task:0/cpu:0"):
            queue = tf1.FIFOQueue(
                len(args.works), [tf.string], [()], shared_name="works"
            )
        if trainer == 0:
            # As string_input_producer does: once through the list, then the
            # runner closes the queue.
            works = tf1.train.limit_epochs(tf.constant(args.works), 1)
            runner = tf1.train.QueueRunner(queue, [queue.enqueue_many([works])])
            tf1.add_to_collection(tf1.GraphKeys.QUEUE_RUNNERS, runner)
        return queue.dequeue()
    if args.how == "static":
        dataset = tf.data.Dataset.from_tensor_slices(
            args.works[trainer::num_trainers]
        )
    else:
        dataset = tf.data.Dataset.from_tensor_slices(args.works)
        dataset = dataset.apply(
            tf.data.experimental.service.distribute(
                processing_mode=tf.data.experimental.service.ShardingPolicy.DYNAMIC,
                service=f"grpc://127.0.0.1:{args.service}",
                job_name="works",
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


def _items(session: Any, item: Any, gate: str) -> Iterator[str]:
    print("START", flush=True)
    while not os.path.exists(gate):
        time.sleep(0.02)
    while not session.should_stop():
        yield session.run(item).decode()


def _train(text: str, args: argparse.Namespace) -> None:
    begin = time.time()
    args.begin = args.begin or begin
    factor = float(os.environ.get("WQ_HOOKS_SLOW", "1"))
    num_records = int(text.rpartition("=")[2])
    for _ in range(num_records):
        is_slow = time.time() - args.begin >= args.turns_slow_after
        time.sleep(args.record_secs * (factor if is_slow else 1.0))
    print("STEP", text, begin, time.time(), flush=True)


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
