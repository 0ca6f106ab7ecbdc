"""A chief that measures takes from a parameter server in another process.

Prints one JSON line: `{variant: [seconds of each take]}`.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from typing import Any

import tensorflow as tf

from benchmarks.programs.garbage import freeze_garbage
from wq_hooks import WorkQueue

tf1 = tf.compat.v1

_CHUNK = 100
# What the chief of the queue still has to do must not fall to the next one.
_PAUSE_SECS = 0.3


def main() -> None:
    """Runs one task of TF_CONFIG."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--num_works", type=int)
    parser.add_argument("--num_takes", type=int)
    parser.add_argument("--num_consumers", type=int, default=1)
    parser.add_argument("--variants", nargs="+")
    args = parser.parse_args()
    config = json.loads(os.environ["TF_CONFIG"])
    job = config["task"]["type"]
    server = tf.distribute.Server(
        config["cluster"], job_name=job, task_index=config["task"]["index"]
    )
    if job == "ps":
        server.join()
    setter = tf1.train.replica_device_setter(
        cluster=config["cluster"], worker_device="/job:chief/task:0"
    )
    with tf.Graph().as_default(), tf1.device(setter):
        works = [f"part-{i:08d}" for i in range(args.num_works)]
        takes, prepare = _takes(args, works)
        # Not monitored: its hooks would be measured as well.
        with tf1.Session(server.target) as session:
            session.run(tf1.global_variables_initializer())
            for step, feeds in prepare:
                session.run(step, feeds)
            coord = tf1.train.Coordinator()
            tf1.train.start_queue_runners(session, coord)
            freeze_garbage()
            print("TIMES", json.dumps(_measure(session, takes, args)))
            coord.request_stop()
            print("DONE", flush=True)
            os._exit(0)  # what waits for a chief need not end in order


def _takes(args: argparse.Namespace, works: list[str]) -> Any:
    takes: dict[str, list[Any]] = {}
    prepare: list[Any] = []
    num_wanted = (args.num_takes + 2 * _CHUNK) * args.num_consumers
    num_lists = -(-num_wanted // len(works))
    if "bound" in args.variants:
        with tf1.device("/job:ps/task:0/cpu:0"):
            takes["bound"] = [tf.no_op()] * args.num_consumers
    if "queue" in args.variants:
        queue = WorkQueue(works, num_epochs=None, shuffle=False)
        takes["queue"] = [queue.take() for _ in range(args.num_consumers)]
    with tf1.device("/job:ps/task:0/cpu:0"):
        listed = tf1.placeholder(tf.string, [None])
        if "fifo" in args.variants:
            fifo = tf1.FIFOQueue(-1, [tf.string], [()], shared_name="fifo")
            # All of them, and as many more as are taken.
            for first in range(0, len(works), 100_000):
                part = works[first : first + 100_000]
                prepare.append((fifo.enqueue_many([listed]), {listed: part}))
            prepare.append(
                (
                    fifo.enqueue_many([listed]),
                    {listed: (works * num_lists)[:num_wanted]},
                )
            )
            takes["fifo"] = [fifo.dequeue()] * args.num_consumers
        if "monolith" in args.variants:
            names = tf1.get_variable(
                "names",
                initializer=listed,
                validate_shape=False,
                use_resource=True,
                trainable=False,
                collections=[],
            )
            prepare.append((names.initializer, {listed: works}))
            position = tf1.get_variable(
                "position",
                initializer=tf.constant(0, tf.int64),
                use_resource=True,
                trainable=False,
            )
            section = tf.CriticalSection(shared_name="section")

            def take() -> Any:
                index = position.assign_add(1, read_value=True)
                return tf.gather(names, index % len(works))

            takes["monolith"] = [section.execute(take)] * args.num_consumers
    return takes, prepare


def _measure(
    session: Any, takes: dict[str, list[Any]], args: argparse.Namespace
) -> dict[str, Any]:
    seconds: dict[str, list[float]] = {name: [] for name in takes}
    walls = dict.fromkeys(takes, 0.0)

    def take(op: Any, number: int, found: list[float]) -> None:
        for _ in range(number):
            begin = time.perf_counter()
            session.run(op)
            found.append(time.perf_counter() - begin)

    def take_all(name: str, number: int, found: list[float]) -> float:
        threads = [
            threading.Thread(target=take, args=(op, number, found))
            for op in takes[name]
        ]
        begin = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - begin

    for name in takes:
        take_all(name, _CHUNK, [])
    # In turn, so that what disturbs one of them disturbs all.
    for _ in range(max(1, args.num_takes // _CHUNK)):
        for name in takes:
            walls[name] += take_all(name, _CHUNK, seconds[name])
            if name == "queue":
                time.sleep(_PAUSE_SECS)
    return {"seconds": seconds, "walls": walls}


if __name__ == "__main__":
    main()
