"""A parameter server that holds what is not the job's: processes, gRPC."""

from __future__ import annotations

import json

import pytest
import tensorflow as tf

from tests.support import rubbish
from tests.support.foreigner import CONFIG, PS, leave
from tests.support.job import Job, names
from tests.support.stranger import Stranger
from wq_hooks.core.protocol import messages
from wq_hooks.runtime.transport.mailbox import Mailbox

tf1 = tf.compat.v1

pytestmark = pytest.mark.cluster

END_SECS = 60.0
MESSAGE = "Restart the parameter server, or give the queue another name."


def start_server(cluster):
    """Starts the parameter server; returns its target."""
    cluster.start("ps:0")
    config = json.loads(cluster.environment("ps:0")["TF_CONFIG"])
    return f"grpc://{config['cluster']['ps'][0]}"


def expect_message(job, task):
    """Waits until a task has ended with the message, and nothing beside it."""
    assert job.cluster.wait(task, END_SECS) == 1
    log = job.log(task)
    assert log.count(MESSAGE) == 1
    assert log.splitlines()[-1].startswith(
        "wq_hooks.errors.ForeignStateError: Expected /job:ps/task:0"
    )
    assert "InvalidArgumentError" not in log


def test_each_task_says_what_to_do_in_any_order(tmp_path):
    job = Job(tmp_path, num_works=4)
    with job:
        leave("columns", start_server(job.cluster))
        # It leaves the variables of the model, which a worker waits for.
        job.cluster.start("chief:0")
        expect_message(job, "chief:0")
        job.open_model()
        job.cluster.start("worker:0")
        expect_message(job, "worker:0")


def test_a_chief_that_restores_says_so_and_goes_on_elsewhere(tmp_path):
    settings = {"num_works": 8, "num_workers": 0, "save_steps": 1}
    first = Job(tmp_path, **settings, stop_at=4)
    assert set(first.run().values()) == {0}

    job = Job(tmp_path, **settings)
    with job:
        leave("board", start_server(job.cluster))
        job.cluster.start("chief:0")
        expect_message(job, "chief:0")

    # The parameter server was restarted.
    last = Job(tmp_path, **settings)
    assert set(last.run().values()) == {0}
    # What was in flight at the last save is trained again.
    assert set(first.items() + last.items()) == set(names(8))
    assert len(last.items()) < 8


@pytest.mark.parametrize("first", ["chief:0", "worker:0"])
def test_unreadable_entries_on_the_board_end_nobody(tmp_path, first):
    job = Job(tmp_path, num_works=20, step_secs=0.05)
    with job:
        write_rubbish(start_server(job.cluster))
        if first == "worker:0":
            job.open_model()
        job.cluster.start(first)
        second = {"chief:0": "worker:0", "worker:0": "chief:0"}[first]
        job.cluster.start(second)
        for task in ("chief:0", "worker:0"):
            job.cluster.wait_for_line(task, "^START", END_SECS)
        job.open()
        assert set(job.cluster.wait_for_job(END_SECS).values()) == {0}
    assert job.counts() == dict.fromkeys(names(20), 1)


def write_rubbish(target):
    keys = range(messages.LEFT + 1)
    with tf.Graph().as_default():
        with tf1.device(PS):
            stranger = Stranger(Mailbox("work_queue", is_saved=False))
        with tf1.Session(target, config=CONFIG) as stranger.session:
            for number, key in enumerate(keys):
                text = rubbish.TEXTS[number % len(rubbish.TEXTS)] or b"rubbish"
                stranger.write(key, text)
