"""A chief that trains, and notes how long each step waits for its batch.

The queue is on a parameter server in another process. Prints one JSON line:
`STALLS {variant: [[seconds waited, seconds in all] of a step]}`, where each
pair is the mean of some steps in a row.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from model_zoo.wide_and_deep import data, model
from model_zoo.wide_and_deep.generate import generate
from wq_hooks import WorkQueue

tf1 = tf.compat.v1

_BATCH_SIZE = 512
# Steps from one pipeline before it is the turn of the next.
_CHUNK = 20

Step = Callable[[], object]


def main() -> None:
    """Runs one task of TF_CONFIG."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows_per_file", type=int)
    parser.add_argument("--num_files", type=int)
    parser.add_argument("--num_chunks", type=int)
    args = parser.parse_args()
    tf_config = json.loads(os.environ["TF_CONFIG"])
    job, cluster = tf_config["task"]["type"], tf_config["cluster"]
    server = tf.distribute.Server(cluster, job_name=job, task_index=0)
    if job == "ps":
        server.join()
    worker = "/job:chief/task:0"
    setter = tf1.train.replica_device_setter(
        cluster=cluster, worker_device=worker
    )
    with tempfile.TemporaryDirectory() as directory, tf.Graph().as_default():
        files = _write_files(directory, args)
        with tf1.device(setter):
            datasets = _datasets(files)
        # The model stays here: what is measured is the wait for items.
        with tf1.device(worker):
            iterators = {
                name: tf1.data.make_initializable_iterator(dataset)
                for name, dataset in datasets.items()
            }
            waits = {
                name: tf.group(*tf.nest.flatten(iterator.get_next()))
                for name, iterator in iterators.items()
                if name != "one batch"
            }
            train = _train_op(iterators["one batch"])
        with tf1.Session(server.target) as session:
            session.run(tf1.global_variables_initializer())
            session.run(tf1.local_variables_initializer())
            tf1.train.start_queue_runners(session, tf1.train.Coordinator())
            session.run([i.initializer for i in iterators.values()])
            stalls = _measure(
                session.make_callable(train),
                {n: session.make_callable(wait) for n, wait in waits.items()},
                args.num_chunks,
            )
            print("STALLS", json.dumps(stalls), flush=True)
            os._exit(0)  # what waits for a chief need not end in order


def _write_files(directory: str, args: argparse.Namespace) -> list[str]:
    generate(
        directory,
        num_files=args.num_files,
        rows_per_file=args.rows_per_file,
        eval_rows=10,
    )
    return sorted(glob.glob(os.path.join(directory, "train", "*")))


def _datasets(files: list[str]) -> dict[str, Any]:
    def queue(name: str) -> WorkQueue:
        return WorkQueue(files, num_epochs=None, name=name)

    lines = tf.data.TextLineDataset
    plain = tf.data.Dataset.from_tensor_slices(files).repeat()
    return {
        "plain": _parsed(lines(plain)),
        "queue": _parsed(lines(queue("queue").input_dataset())),
        "records": _parsed(queue("records").records(lines)).to_dataset(),
        "one batch": _parsed(lines(files)).take(1).cache().repeat(),
    }


def _parsed(lines: Any) -> Any:
    batches = lines.batch(_BATCH_SIZE)
    batches = batches.map(data.parse_lines, num_parallel_calls=2)
    return batches.prefetch(2)


def _train_op(iterator: Any) -> Any:
    """Returns a step that trains the same batch each time."""
    features, labels = iterator.get_next()
    tf1.train.get_or_create_global_step()
    config = model.ModelConfig()
    loss = model.build_loss(model.build_logits(features, config), labels)
    return model.build_train_op(loss, config)


def _measure(
    train: Step, waits: dict[str, Step], num_chunks: int
) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in waits}
    generator = random.Random(0)
    for number in range(1 + num_chunks):
        # In turn, so that what disturbs one of them disturbs all, and none is
        # always behind the same other one.
        for name, wait in generator.sample(list(waits.items()), len(waits)):
            waited = 0.0
            begin = time.perf_counter()
            for _ in range(_CHUNK):
                waiting = time.perf_counter()
                wait()
                waited += time.perf_counter() - waiting
                train()
            if number:  # the first steps build what the others find
                secs = time.perf_counter() - begin
                found[name].append((waited / _CHUNK, secs / _CHUNK))
    return found


if __name__ == "__main__":
    main()
