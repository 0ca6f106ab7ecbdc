"""A task of a job of many simulated consumers, several in each process.

A simulated consumer is a task of its own for the chief: it takes, completes
what it had, and says that it is alive; it has no reader and no train step.

The consumers of a process take by some threads, in the order in which they want
to. With a thread for each, what is unfair is the machine that simulates them:
of 250 in each of four processes on two cores, a step that does nothing on the
parameter server lasted 0.1 s in the median and 1.2 s at most, one that does
nothing in their own process 0.008 and 1.6 s; a dequeue 0.25 and 1.3 s, of which
it was in the server for 0.2 s at most. Of more processes than cores some get
half as much of them as others.

The worker prints one JSON line for each phase, `PHASE {...}`, the chief one
with the CPU time that its process has used, `CPU {...}`.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from collections.abc import Callable
from queue import PriorityQueue
from typing import Any

import tensorflow as tf

from benchmarks.programs.garbage import freeze_garbage
from wq_hooks import WorkQueue
from wq_hooks.core.consumer.consumer import ConsumerLoop
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.messages import Report
from wq_hooks.engines import engine_of
from wq_hooks.runtime.ports.port import Port
from wq_hooks.runtime.transport.mailbox_session import MailboxSession
from wq_hooks.runtime.transport.prepared_steps import is_refusal

tf1 = tf.compat.v1

_CHUNK = 10_000
_LEASE_SECS = 60.0
# Between two phases.
_PAUSE_SECS = 1.0

Take = Callable[[], object]


def main() -> None:
    """Runs one task of TF_CONFIG."""
    args = _parse_args()
    tf_config = json.loads(os.environ["TF_CONFIG"])
    job, index = tf_config["task"]["type"], tf_config["task"]["index"]
    cluster = tf_config["cluster"]
    server = tf.distribute.Server(cluster, job_name=job, task_index=index)
    if job == "ps":
        server.join()
    setter = tf1.train.replica_device_setter(
        cluster=cluster, worker_device=f"/job:{job}/task:{index}"
    )
    with tf.Graph().as_default(), tf1.device(setter):
        queue = WorkQueue(
            [f"part-{i:06d}" for i in range(args.num_works)],
            num_epochs=None,
            lease_secs=_LEASE_SECS,
        )
        with tf1.device("/job:ps/task:0/cpu:0"):
            fifo = tf1.FIFOQueue(-1, [tf.string], [()], shared_name="fifo")
            listed = tf1.placeholder(tf.string, [None])
            fill = fifo.enqueue_many([listed])
        dequeue = fifo.dequeue()
        config = tf1.ConfigProto(
            device_filters=["/job:ps", f"/job:{job}/task:{index}"]
        )
        with tf1.Session(server.target, config=config) as session:
            if job == "chief":
                session.run(tf1.global_variables_initializer())
                works = [f"part-{i:06d}" for i in range(_CHUNK)]
                for _ in range(args.num_bare // _CHUNK):
                    session.run(fill, {listed: works})
                coord = tf1.train.Coordinator()
                tf1.train.start_queue_runners(session, coord)
                freeze_garbage()
                print("START", flush=True)
                _watch(args)
            else:
                engine: Any = engine_of(queue)
                mailbox = MailboxSession(engine.mailbox, session)
                bare = session.make_callable(dequeue)
                names = [
                    f"worker:{index * args.num_consumers + i}"
                    for i in range(args.num_consumers)
                ]
                takes = {
                    "fifo": [bare] * len(names),
                    "queue": [_consumer(name, mailbox) for name in names],
                }
                for take in (bare, takes["queue"][0]):
                    take()  # the first step builds what the others find
                threading.Thread(
                    target=_beat, args=(names, mailbox), daemon=True
                ).start()
                freeze_garbage()
                print("START", flush=True)
                _run_phases(args, takes)
        print("DONE", flush=True)
        os._exit(0)  # what waits for a chief need not end in order


def _parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gate", help="read the time of the start from it")
    parser.add_argument("--num_works", type=int, default=100_000)
    parser.add_argument("--num_bare", type=int, help="in the bare queue")
    parser.add_argument("--num_consumers", type=int, help="in each process")
    parser.add_argument("--num_threads", type=int, help="that take, likewise")
    parser.add_argument("--phases", help="JSON list of [what, every, secs]")
    return parser.parse_args()


def _consumer(name: str, mailbox: MailboxSession) -> Take:
    return ConsumerLoop(Consumer(name, "life"), mailbox, Port()).next_item


def _beat(names: list[str], mailbox: MailboxSession) -> None:
    while True:
        for name in names:
            mailbox.report(Report(messages.ALIVE, Consumer(name, "life")))
            time.sleep(_LEASE_SECS / 4 / len(names))


def _phases(args: argparse.Namespace) -> Any:
    """Yields (number, what, every, begin, end) before each of them begins."""
    while not os.path.exists(args.gate):
        time.sleep(0.02)
    with open(args.gate) as file:
        begin = float(file.read())
    for number, (what, every, secs) in enumerate(json.loads(args.phases)):
        yield number, what, every, begin, begin + secs
        # All end what they have begun.
        begin += secs + _PAUSE_SECS


def _watch(args: argparse.Namespace) -> None:
    for number, _, _, begin, end in _phases(args):
        _sleep_until(begin)
        begin, cpu = time.time(), time.process_time()
        _sleep_until(end)
        used = (time.process_time() - cpu) / (time.time() - begin)
        print("CPU", json.dumps({"phase": number, "cores": used}), flush=True)
    # The last ones still wait for their items.
    time.sleep(_PAUSE_SECS)


def _run_phases(args: argparse.Namespace, takes: dict[str, list[Take]]) -> None:
    # Neither to start threads nor to print is part of a phase: one would make
    # the first of them wait, the other the last ones of other processes.
    phases: list[dict[str, Any]] = []
    for number, what, every, begin, end in _phases(args):
        load = _Load(takes[what], every, begin, end)
        threads = [
            threading.Thread(target=load.take_in_turn)
            for _ in range(args.num_threads)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        phases.append(
            {"phase": number, "secs": load.secs, "refused": load.num_refused}
        )
    for phase in phases:
        print("PHASE", json.dumps(phase), flush=True)


class _Load:
    """The takes of a process's consumers in one phase.

    Args:
      takes: Takes of each consumer.
      every: How many seconds after one take each wants to begin the next.
      begin: When the first of them does, as of time.time.
      end: When none does any more.

    Attributes:
      secs: How long the takes of each consumer have lasted, from the time at
        which it wanted to take.
      num_refused: How many were made twice, since the server has refused the
        first; see `wq_hooks.runtime.transport.prepared_steps.is_refusal`.
    """

    def __init__(
        self, takes: list[Take], every: float, begin: float, end: float
    ):
        self.secs: list[list[float]] = [[] for _ in takes]
        self.num_refused = 0
        self._takes = takes
        self._every = every
        self._end = end
        self._due: PriorityQueue[tuple[float, int]] = PriorityQueue()
        for i in range(len(takes)):
            self._due.put((begin + every * i / len(takes), i))

    def take_in_turn(self) -> None:
        """Lets who has wanted to take for longest do so, until the end."""
        while True:
            due, consumer = self._due.get()
            if due >= self._end:
                self._due.put((due, consumer))  # for the other threads
                return
            begin = due
            if due > time.time():
                _sleep_until(due)
                # How late the machine wakes a thread is no wait for an item.
                begin = time.time()
            self._take(self._takes[consumer])
            now = time.time()
            self.secs[consumer].append(now - begin)
            self._due.put((max(due + self._every, now), consumer))

    def _take(self, take: Take) -> None:
        while True:
            try:
                take()
                return
            except tf.errors.OpError as e:
                if not is_refusal(e):
                    raise
                self.num_refused += 1


def _sleep_until(when: float) -> None:
    time.sleep(max(0.0, when - time.time()))


if __name__ == "__main__":
    main()
