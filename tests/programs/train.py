"""A training program of a few lines, for the tests that need processes.

Every step "trains" one item: it prints `GOT <item> <global step>`, and adds
one to a counter of that item in a variable on the parameter server, so that a
test can read from a checkpoint what was trained.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import threading
import time
from pathlib import Path

import tensorflow as tf
import tensorflow.compat.v1 as tf1
from absl import logging
from gate import Gate

from wq_hooks import Preemption, WorkQueue, WorkQueueHook
from wq_hooks.core import waits

logging.set_verbosity(logging.INFO)


def main() -> None:
    args = parse_args()
    if args.patience_secs:
        waits.FIRST_SECS = waits.AGAIN_SECS = args.patience_secs
    config = json.loads(os.environ["TF_CONFIG"])
    job, index = config["task"]["type"], config["task"]["index"]
    cluster = {
        name: {int(i): a for i, a in tasks.items()}
        if isinstance(tasks, dict)
        else tasks
        for name, tasks in config["cluster"].items()
    }
    server = tf.distribute.Server(cluster, job_name=job, task_index=index)
    if job == "ps":
        server.join()
    with tf.Graph().as_default():
        train(args, cluster, job, index, server.target)
    print("DONE", flush=True)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkpoint")
    parser.add_argument("--gate", help="wait until this file exists")
    parser.add_argument("--works", nargs="+")
    parser.add_argument("--num_works", type=int, default=0)
    parser.add_argument("--num_epochs", type=int, default=1)
    parser.add_argument("--source", default="dataset")
    parser.add_argument("--hook", type=int, default=1)
    parser.add_argument("--queue", type=int, default=1)
    parser.add_argument("--step_secs", type=float, default=0.0)
    parser.add_argument("--every_secs", type=float, default=2.0)
    parser.add_argument("--records_per_item", type=int, default=10)
    parser.add_argument("--stop_at", type=int, default=0)
    parser.add_argument("--fail_at", type=int, default=0)
    parser.add_argument("--save_steps", type=int, default=5)
    parser.add_argument("--lease_secs", type=float, default=60.0)
    parser.add_argument("--give_up_secs", type=float, default=1800.0)
    parser.add_argument("--ack", default="next")
    parser.add_argument("--shuffle_buffer", type=int, default=0)
    parser.add_argument("--grace_secs", type=float, default=25.0)
    parser.add_argument("--notice", help="file that says: leave")
    parser.add_argument("--has_handler", type=int, default=0)
    parser.add_argument("--leaves_sigterm_alone", type=int, default=0)
    parser.add_argument(
        "--patience_secs", type=float, help="say so soon what is waited for"
    )
    parser.add_argument(
        "--feed", help="file of works that the chief adds, then a line 'end'"
    )
    return parser.parse_args()


def train(
    args: argparse.Namespace, cluster: dict, job: str, index: int, target: str
) -> None:
    works = args.works or [f"item-{i:04d}" for i in range(args.num_works)]
    setter = tf1.train.replica_device_setter(
        cluster=cluster, worker_device=f"/job:{job}/task:{index}"
    )
    with tf1.device(setter):
        step = tf1.train.get_or_create_global_step()
        counts = tf1.get_variable(
            "counts", [10_000], tf.int32, initializer=tf1.zeros_initializer()
        )
        item = tf.constant("none-0000")
        queue = None
        if args.queue:
            queue = queue_of(args, works)
            item = items_of(args, queue)
        number = tf.strings.to_number(tf.strings.substr(item, -4, 4), tf.int32)
        counted = counts.scatter_add(tf.IndexedSlices(1, number))
        with tf.control_dependencies([counted]):
            stepped = step.assign_add(1)
    hooks = []
    if args.has_handler:
        signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"HANDLED\n"))
    if args.queue and args.hook:
        preemption = Preemption(
            grace_secs=args.grace_secs,
            notice=Path(args.notice).exists if args.notice else None,
        )
        hooks.append(
            WorkQueueHook(
                every_n_secs=args.every_secs,
                on_preemption=None if args.leaves_sigterm_alone else preemption,
            )
        )
    if args.stop_at:
        hooks.append(tf1.train.StopAtStepHook(last_step=args.stop_at))
    slow = float(os.environ.get("WQ_HOOKS_SLOW", "1"))
    gate = Gate(args.gate)
    is_chief = job == "chief" or "SECOND_CHIEF" in os.environ
    if not is_chief:
        gate.wait_for_model()
    with tf1.train.MonitoredTrainingSession(
        target,
        is_chief=is_chief,
        checkpoint_dir=args.checkpoint,
        hooks=hooks,
        save_checkpoint_steps=args.save_steps,
        save_summaries_steps=None,
        config=tf1.ConfigProto(
            device_filters=["/job:ps", f"/job:{job}/task:{index}"]
        ),
    ) as session:
        if is_chief:
            gate.open_model()
        print("START", flush=True)
        if args.feed and is_chief:
            threading.Thread(
                target=feed_forever, args=(queue, args.feed), daemon=True
            ).start()
        gate.wait()
        num_steps = 0
        while not session.should_stop():
            name, number = session.run([item, stepped])
            print("GOT", name.decode(), number, flush=True)
            num_steps += 1
            if args.fail_at and num_steps >= args.fail_at:
                raise ValueError("this step has failed, as it was asked to")
            time.sleep(args.step_secs * slow)


def feed_forever(queue: WorkQueue, path: str) -> None:
    """Adds the works in a file as it grows; those added before are known."""
    print("ADDED", queue.num_added, flush=True)
    while True:
        # What is not ended by a newline is not written yet.
        lines = Path(path).read_text().split("\n")[:-1]
        works = [line for line in lines if line != "end"]
        queue.add_works(works[queue.num_added :])
        if len(works) < len(lines):
            queue.close_works()
            return
        time.sleep(0.02)


def queue_of(args: argparse.Namespace, works: list[str]) -> WorkQueue:
    return WorkQueue(
        works,
        num_epochs=args.num_epochs,
        shuffle=False,
        lease_secs=args.lease_secs,
        give_up_secs=args.give_up_secs,
        ack=args.ack,
        is_open=bool(args.feed),
    )


def items_of(args: argparse.Namespace, queue: WorkQueue) -> tf.Tensor:
    if args.source == "take":
        return queue.take()
    if args.source == "producer":
        return tf.reshape(queue.input_producer().dequeue(), [])
    if args.source == "dataset":
        dataset = queue.input_dataset()
    else:
        records = queue.records(
            lambda item: tf.data.Dataset.from_tensors(item).repeat(
                args.records_per_item
            )
        )
        if args.shuffle_buffer:
            records = records.shuffle(args.shuffle_buffer)
        dataset = records.to_dataset()
    iterator = tf1.data.make_initializable_iterator(dataset)
    tf1.add_to_collection(
        tf1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer
    )
    return iterator.get_next()


if __name__ == "__main__":
    main()
