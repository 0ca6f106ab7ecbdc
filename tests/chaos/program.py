"""A trainer whose model counts how often each record was trained.

The counts are in a variable on the parameter server and in each checkpoint. The
chief keeps a journal of what it was told and restored, as lines of JSON:

    {"secs": ..., "reports": [row, ...]}
    {"secs": ..., "restored": checkpoint, "in_flight": [name of item, ...]}

Every step prints `STEP <number of records>`, and the end of the last one
`LEAVING`, even where it is an error. Times are of the monotonic clock,
which the processes of a machine share.
"""

from __future__ import annotations

import argparse
import json
import os
import time

import tensorflow as tf
import tensorflow.compat.v1 as tf1
from absl import logging

from tests.chaos import network
from wq_hooks import WorkQueue, WorkQueueHook
from wq_hooks.core.position.snapshot import Snapshot
from wq_hooks.runtime.transport.mailbox_session import MailboxSession

logging.set_verbosity(logging.INFO)


def main():
    network.join()
    args = parse_args()
    config = json.loads(os.environ["TF_CONFIG"])
    job, index = config["task"]["type"], config["task"]["index"]
    server = tf.distribute.Server(
        config["cluster"], job_name=job, task_index=index
    )
    if job == "ps":
        server.join()
    with tf.Graph().as_default():
        train(args, config["cluster"], job, index, server.target)
    print("DONE", flush=True)


def parse_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("--directory", help="of the checkpoints")
    parser.add_argument("--journal")
    parser.add_argument("--gate", help="wait until this file exists")
    parser.add_argument("--num_records", type=int)
    parser.add_argument("--num_epochs", type=int, default=1)
    parser.add_argument("--shuffle", type=int, default=0)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--cycle_length", type=int, default=1)
    parser.add_argument("--step_secs", type=float, default=0.0)
    parser.add_argument("--save_steps", type=int, default=20)
    parser.add_argument("--lease_secs", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hook", type=int, default=1)
    parser.add_argument("works", nargs="+")
    return parser.parse_args()


def train(args, cluster, job, index, target):
    is_chief = job == "chief"
    setter = tf1.train.replica_device_setter(
        cluster=cluster, worker_device=f"/job:{job}/task:{index}"
    )
    with tf1.device(setter):
        step = tf1.train.get_or_create_global_step()
        counts = tf1.get_variable(
            "counts",
            [args.num_records],
            tf.int32,
            initializer=tf1.zeros_initializer(),
        )
        numbers = tf.strings.to_number(batch_of(args), tf.int32)
        counted = counts.scatter_add(
            tf.IndexedSlices(tf.ones_like(numbers), numbers)
        )
        with tf.control_dependencies([counted]):
            stepped = step.assign_add(1)
    journal = Journal(args.journal)
    if is_chief:
        journal.write_reports()
    saver = JournaledSaver(journal)
    tf1.add_to_collection(tf1.GraphKeys.SAVERS, saver)
    hooks = [WorkQueueHook(every_n_secs=5)] if args.hook else []
    config = tf1.ConfigProto(
        device_filters=["/job:ps", f"/job:{job}/task:{index}"]
    )
    with session_of(args, is_chief, target, config, hooks) as session:
        print("START", flush=True)
        while not os.path.exists(args.gate):
            time.sleep(0.02)
        try:
            while not session.should_stop():
                trained, _ = session.run([numbers, stepped])
                print("STEP", len(trained), flush=True)
                time.sleep(args.step_secs)
        finally:
            print("LEAVING", flush=True)


def batch_of(args):
    queue = WorkQueue(
        args.works,
        num_epochs=args.num_epochs,
        seed=args.seed,
        lease_secs=args.lease_secs,
    )
    dataset = queue.records(
        tf.data.TextLineDataset, cycle_length=args.cycle_length
    )
    if args.shuffle:
        dataset = dataset.shuffle(args.shuffle)
    dataset = dataset.batch(args.batch).prefetch(1).to_dataset()
    iterator = tf1.data.make_initializable_iterator(dataset)
    tf1.add_to_collection(
        tf1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer
    )
    return iterator.get_next()


def session_of(args, is_chief, target, config, hooks):
    if is_chief:
        return tf1.train.MonitoredTrainingSession(
            target,
            is_chief=True,
            checkpoint_dir=args.directory,
            hooks=hooks,
            save_checkpoint_steps=args.save_steps,
            save_summaries_steps=None,
            log_step_count_steps=None,
            config=config,
        )
    # A MonitoredTrainingSession, but for the 30 seconds that its workers
    # sleep when they find the model not ready.
    return tf1.train.MonitoredSession(ImpatientWorker(target, config), hooks)


class ImpatientWorker(tf1.train.SessionCreator):
    def __init__(self, target, config):
        self._target = target
        self._config = config
        self._scaffold = tf1.train.Scaffold()
        self._manager = None

    def create_session(self):
        self._scaffold.finalize()
        if self._manager is None:
            self._manager = tf1.train.SessionManager(
                local_init_op=self._scaffold.local_init_op,
                ready_op=self._scaffold.ready_op,
                ready_for_local_init_op=self._scaffold.ready_for_local_init_op,
                graph=tf1.get_default_graph(),
                recovery_wait_secs=0.2,
            )
        return self._manager.wait_for_session(
            self._target, config=self._config, max_wait_secs=120
        )


class Journal:
    def __init__(self, path):
        self._path = path

    def write(self, **entry):
        # One write of a line: what a kill leaves behind is whole.
        line = json.dumps({"secs": time.monotonic(), **entry}) + "\n"
        with open(self._path, "ab", buffering=0) as file:
            file.write(line.encode())

    def write_reports(self):
        """Writes down all reports, before the ledger hears of them."""
        receive = MailboxSession.receive

        def receive_and_write(mailbox):
            rows = receive(mailbox)
            self.write(reports=[row.decode() for row in rows])
            return rows

        MailboxSession.receive = receive_and_write


class JournaledSaver(tf1.train.Saver):
    """Keeps every checkpoint, and notes which one is restored."""

    def __init__(self, journal):
        super().__init__(
            sharded=True, allow_empty=True, defer_build=True, max_to_keep=None
        )
        self._journal = journal

    def restore(self, sess, save_path):
        reader = tf.train.load_checkpoint(save_path)
        position = Snapshot.from_json(reader.get_tensor("work_queue/position"))
        in_flight = [i.text for i in position.outstanding if i.attempts]
        self._journal.write(restored=save_path, in_flight=in_flight)
        super().restore(sess, save_path)


if __name__ == "__main__":
    main()
