from __future__ import annotations

import os
import queue
import signal
import subprocess

import pytest

from tests.support.witness import (
    DEADLINE_SECS,
    HOLD,
    HOLD_WITH_CHILD,
    Witness,
    python,
)
from wq_hooks.launcher.process_group import Deadline, Guard, ProcessGroup

# Only so that a hang fails.
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def witness(tmp_path, monkeypatch):
    monkeypatch.setenv("WITNESS", str(tmp_path / "witness"))
    witness = Witness(tmp_path / "witness")
    yield witness
    witness.close()


class Run:
    """A process group, and what it reports."""

    def __init__(self, guard, program, on_line=None):
        self.lines = {"stdout": [], "stderr": []}
        self.returncodes = queue.SimpleQueue()
        self.group = ProcessGroup(
            python(program),
            os.environ,
            guard,
            on_line or (lambda stream, text: self.lines[stream].append(text)),
            self.returncodes.put,
        )

    def wait(self):
        returncode = self.returncodes.get(timeout=DEADLINE_SECS)
        self.group.join()
        return returncode


@pytest.fixture
def run():
    with Guard() as guard:
        yield lambda *args, **kwargs: Run(guard, *args, **kwargs)


def test_lines_of_both_streams_and_the_return_code(run):
    process = run(
        "import sys\n"
        "print('one'); print(); print('two words ')\n"
        "sys.stderr.write('no end of line')\n"
        "sys.exit(3)"
    )
    assert process.wait() == 3
    assert process.lines["stdout"] == ["one", "", "two words "]
    assert process.lines["stderr"] == ["no end of line"]


def test_bytes_that_are_no_text_are_replaced(run):
    process = run(r"import os; os.write(1, b'a\xffb\r\n\xc3\xa9')")
    assert process.wait() == 0
    assert process.lines["stdout"] == ["a\ufffdb", "é"]


def test_stdin_is_empty(run):
    process = run("import sys; print(repr(sys.stdin.read()))")
    assert process.wait() == 0
    assert process.lines["stdout"] == ["''"]


def test_a_signal_reaches_the_whole_group(run, witness):
    process = run(HOLD_WITH_CHILD)
    witness.wait_for_start(2)
    process.group.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    witness.wait_for_end()
    process.group.send_signal(signal.SIGKILL)  # Nobody is left to get it.


def test_what_a_process_leaves_behind_is_killed(run, witness):
    process = run(
        "import os, subprocess, sys\n"
        f"subprocess.Popen([sys.executable, '-c', {HOLD!r}])\n"
        "witness = open(os.environ['WITNESS'], 'w')\n"
        "print('ready', file=witness, flush=True)\n"
        "print('done')"
    )
    assert process.wait() == 0
    witness.wait_for_end()
    assert process.lines["stdout"] == ["done"]


def test_a_failing_on_line_does_not_block_the_process(run, caplog):
    def fail(stream, text):
        raise KeyError(text)

    process = run("for i in range(3): print(str(i) * 100_000)", fail)
    assert process.wait() == 0
    assert len(caplog.records) == 3


def test_a_program_that_does_not_exist(tmp_path):
    with Guard() as guard, pytest.raises(FileNotFoundError):
        ProcessGroup([str(tmp_path / "x")], {}, guard, print, print)


def test_leaving_the_guard_kills_what_it_guards(witness):
    with Guard() as guard:
        process = Run(guard, HOLD_WITH_CHILD)
        witness.wait_for_start(2)
    assert process.wait() == -signal.SIGKILL
    witness.wait_for_end()


def test_the_guard_survives_its_owner_and_kills_its_groups(witness):
    owner = subprocess.Popen(
        python(
            "import os, signal\n"
            "from wq_hooks.launcher.process_group import Guard, ProcessGroup\n"
            "with Guard() as guard:\n"
            f"    command = {python(HOLD_WITH_CHILD)!r}\n"
            "    ProcessGroup(command, os.environ, guard, print, print)\n"
            "    signal.pause()"
        )
    )
    witness.wait_for_start(2)
    owner.kill()
    owner.wait(DEADLINE_SECS)
    witness.wait_for_end()


def test_deadline():
    assert Deadline(None).remaining_secs() is None
    assert Deadline(0).remaining_secs() == 0
    assert 0 < Deadline(100).remaining_secs() <= 100
    assert "100" in repr(Deadline(100))
