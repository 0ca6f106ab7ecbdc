"""A forked program is as one that was started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.support import forked
from tests.support.environment import environment

DEADLINE_SECS = 120
ENV = {**os.environ, **environment()}


def script(tmp_path, text):
    path = tmp_path / "script.py"
    path.write_text(text)
    return [sys.executable, str(path)]


def start(command, **kwargs):
    pipe = subprocess.PIPE
    return forked.popen(
        command, env=ENV, stdout=pipe, stderr=pipe, text=True, **kwargs
    )


@pytest.fixture
def command(tmp_path):
    return script(
        tmp_path,
        """
import atexit, os, sys, threading, time
atexit.register(print, "at exit")
print(__name__, sys.modules["__main__"].__file__ == __file__, sys.argv[1:])
print(os.getcwd(), sys.path[0], os.environ["TF_CONFIG"], sys.stdin.read())
print(os.getsid(0) == os.getpid())
threading.Thread(target=lambda: time.sleep(0.1) or print("thread")).start()
sys.exit(int(sys.argv[1]))
""",
    )


@pytest.mark.parametrize("status", [0, 3])
def test_it_sees_what_a_started_one_sees(tmp_path, command, status):
    kwargs = {
        "env": {**ENV, "TF_CONFIG": "{}"},
        "cwd": str(tmp_path),
        "timeout": DEADLINE_SECS,
    }
    done = forked.run([*command, str(status)], **kwargs)
    started = subprocess.run(
        [*command, str(status)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        **kwargs,
    )

    assert done.stdout.splitlines() == [
        f"__main__ True ['{status}']",
        f"{tmp_path} {tmp_path} {{}} ",
        "True",
        "thread",
        "at exit",
    ]
    assert (done.stdout, done.returncode) == (started.stdout, status)
    assert done.stderr == started.stderr == ""


def test_tensorflow_is_there_and_has_not_begun(tmp_path):
    """The threads of TensorFlow would not be there after a fork."""
    command = script(
        tmp_path,
        """
import sys
assert "tensorflow" in sys.modules
from tensorflow.python.eager import context
assert context.context_safe() is None or not context.context()._initialized
import tensorflow as tf
assert tf.constant(1) + 1 == 2
assert list(tf.data.Dataset.range(3).prefetch(1)) == [0, 1, 2]
server = tf.distribute.Server.create_local_server()
with tf.Graph().as_default():
    with tf.compat.v1.Session(server.target) as session:
        assert session.run(tf.constant(5)) == 5
""",
    )
    done = forked.run(command, env=ENV, timeout=DEADLINE_SECS)
    assert done.returncode == 0, done.stderr


def test_random_numbers_differ(tmp_path):
    command = script(
        tmp_path,
        "import random, numpy as np, tensorflow as tf\n"
        "print(random.random(), np.random.rand(), float(tf.random.normal([])))",
    )
    runs = [forked.run(command, env=ENV, timeout=DEADLINE_SECS) for _ in "ab"]
    first, second = (set(run.stdout.split()) for run in runs)
    assert len(first | second) == 6


def test_an_error_and_a_program_that_is_killed(tmp_path):
    process = start(script(tmp_path, "raise ValueError('no')"))
    _, err = process.communicate(timeout=DEADLINE_SECS)
    assert process.returncode == 1
    assert err.endswith("ValueError: no\n")

    waiting = "import time\nprint('up', flush=True)\ntime.sleep(600)"
    for signum in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        process = start(script(tmp_path, waiting))
        assert process.stdout.readline() == "up\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)
        process.send_signal(signum)
        process.communicate(timeout=DEADLINE_SECS)
        assert process.returncode == -signum


def test_a_signal_to_its_group_is_not_lost_in_the_beginning(tmp_path):
    for _ in range(30):
        process = start(script(tmp_path, "import time\ntime.sleep(600)"))
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=DEADLINE_SECS)
        assert process.returncode == -signal.SIGTERM


def test_none_outlives_the_process_that_has_started_it(tmp_path):
    """Its pipe ends only when the last of them has ended."""
    command = script(tmp_path, "import time\ntime.sleep(600)")
    owner = script(
        tmp_path.parent,
        f"""
import os, signal, subprocess
from tests.support import forked
process = forked.popen({command!r}, env=dict(os.environ), text=True)
print(process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
""",
    )
    done = subprocess.run(
        owner,
        env=ENV,
        stdout=subprocess.PIPE,
        text=True,
        timeout=DEADLINE_SECS,
    )
    assert done.returncode == -signal.SIGKILL
    # The zygote, which has the same standard output, has gone, too.
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)
