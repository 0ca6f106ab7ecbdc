"""A task of docs/pipelines.md's synchronous updates; prints each line trained.

python train_in_step.py --gate=PATH --paths FILE...
"""

from __future__ import annotations

import argparse
import json
import os
import time

import tensorflow as tf
from gate import Gate

from tests.support.sync_replicas import train_function


class Printed:
    """Prints the lines of a batch in the place of a list that keeps them.

    Args:
      before_first: Called before the first batch is printed.
    """

    def __init__(self, before_first):
        self._before_first = before_first

    def append(self, batch):
        if self._before_first is not None:
            self._before_first()
            self._before_first = None
        time.sleep(0.02 * float(os.environ.get("WQ_HOOKS_SLOW", "1")))
        for line in batch:
            print("GOT", line.decode(), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gate", help="wait until this file exists")
    parser.add_argument("--lease_secs", type=float, default=60.0)
    parser.add_argument("--paths", nargs="+")
    args = parser.parse_args()
    config = json.loads(os.environ["TF_CONFIG"])
    job, index = config["task"]["type"], config["task"]["index"]
    # The guide calls the chief the first worker.
    cluster = config["cluster"]
    cluster["worker"] = cluster.pop("chief") + cluster["worker"]
    if job != "ps":
        job, index = "worker", index + (job == "worker")
    config = {"cluster": cluster, "task": {"type": job, "index": index}}
    os.environ["TF_CONFIG"] = json.dumps(config)
    server = tf.distribute.Server(cluster, job_name=job, task_index=index)
    if job == "ps":
        server.join()

    gate = Gate(args.gate)
    if index > 0:
        gate.wait_for_model()

    def wait_for_the_others() -> None:
        if index == 0:
            gate.open_model()
        print("START", flush=True)
        gate.wait()

    train = train_function(
        args.paths,
        cluster,
        # Each is given something, however late it comes.
        Printed(lambda: gate.wait_for_all(index, len(cluster["worker"]))),
        wait_for_the_others,
        [("num_epochs=2", f"num_epochs=2, lease_secs={args.lease_secs}")],
    )
    train(server.target, index)
    print("DONE", flush=True)


if __name__ == "__main__":
    main()
