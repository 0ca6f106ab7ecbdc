from __future__ import annotations

import io
import os
import queue
import re
import signal
import subprocess
import time

import pytest

from tests.support.witness import (
    DEADLINE_SECS,
    HOLD,
    HOLD_WITH_CHILD,
    Witness,
    python,
)
from wq_hooks.cli.command_line import main
from wq_hooks.cli.launch import Console, TaskEnded, supervise
from wq_hooks.launcher.local_cluster import Cluster, Line

# Only so that a hang fails.
pytestmark = pytest.mark.timeout(120)

# Each program knows its `task`, and can `hold`: report, and wait for a signal.
TASK = f"""
import json, os, pathlib, signal, sys
task = json.loads(os.environ["TF_CONFIG"])["task"]
task = "{{type}}:{{index}}".format(**task)
def hold():
    exec({HOLD!r})
"""


@pytest.fixture
def witness(tmp_path, monkeypatch):
    monkeypatch.setenv("WITNESS", str(tmp_path / "witness"))
    witness = Witness(tmp_path / "witness")
    yield witness
    witness.close()


def launch(*options, program):
    return main(["launch", *options, "--", *python(TASK + program)])


def launch_process(*options, program, **kwargs):
    command = ["-m", "wq_hooks.cli.command_line", "launch", *options, "--"]
    return subprocess.Popen(
        [*python("")[:1], *command, *python(TASK + program)],
        start_new_session=True,
        text=True,
        **kwargs,
    )


def test_a_job_that_completes(capfd, witness):
    program = (
        "print('hello')\n"
        "sys.stderr.write(f'from {task}')\n"
        "if task.startswith('ps'): hold()"
    )
    options = ["--workers", "2", "--evaluator"]
    assert launch(*options, program=program) == 0
    witness.wait_for_end()
    out, err = capfd.readouterr()
    tasks = ["chief:0", "worker:0", "worker:1", "evaluator:0"]
    for task in tasks:
        assert f"[{task}] hello" in out.splitlines()
        assert f"[{task}] from {task}" in err.splitlines()
        assert f"[launch] {task} has completed" in err.splitlines()
    started = re.search(r"\[launch\] started (.*)", err)[1]
    pids = dict(re.findall(r"(\S+) \(pid (\d+)\)", started))
    assert list(pids) == ["ps:0", *tasks]


def test_a_slow_task_runs_a_part_of_the_time(capfd):
    """Any program: it is stopped meanwhile, and sees a clock that jumps."""
    program = (
        "import time\n"
        "begin = last = time.monotonic()\n"
        "stopped = 0.0\n"
        "while last - begin < 4:\n"
        "    time.sleep(0.01)\n"
        "    now = time.monotonic()\n"
        "    stopped += (now - last) * (now - last > 0.5)\n"
        "    last = now\n"
        "print(stopped / (last - begin))"
    )
    options = ["--ps=0", "--workers=0", "--slow=chief:0=4"]
    assert launch(*options, program=program) == 0
    share = float(capfd.readouterr().out.split()[-1])
    assert share > 0.5


def test_a_command_without_the_two_dashes(capfd):
    command = ["launch", "--ps", "0", "--workers", "0", *python("print(1)")]
    assert main(command) == 0
    assert capfd.readouterr().out == "[chief:0] 1\n"


def test_the_command_keeps_its_own_dashes(capfd):
    program = "import sys; print(sys.argv[1:])"
    command = [*python(program), "--ps", "9", "--", "x"]
    assert main(["launch", "--ps", "0", "--workers=0", "--", *command]) == 0
    assert capfd.readouterr().out == "[chief:0] ['--ps', '9', '--', 'x']\n"


@pytest.mark.parametrize(
    ("failing", "failure", "exit_code", "message"),
    [
        ("chief:0", "sys.exit(3)", 3, "failed with exit code 3"),
        ("worker:1", "sys.exit('oh')", 1, "failed with exit code 1"),
        ("evaluator:0", "sys.exit(4)", 4, "failed with exit code 4"),
        ("ps:0", "sys.exit(5)", 5, "failed with exit code 5"),
        ("worker:0", "os.kill(os.getpid(), 9)", 137, "was killed by SIGKILL"),
        ("ps:0", "os.kill(os.getpid(), 15)", 143, "was killed by SIGTERM"),
    ],
)
def test_the_first_failure_ends_all(
    capfd, witness, failing, failure, exit_code, message
):
    program = f"if task == {failing!r}:\n  {failure}\nhold()"
    options = ["--workers", "2", "--evaluator"]
    assert launch(*options, program=program) == exit_code
    err = capfd.readouterr().err
    assert f"[launch] {failing} {message}; ending all tasks (--restart" in err


def test_a_failure_kills_after_the_grace(capfd, witness, tmp_path):
    # The chief fails when the others, which do not listen, have started.
    program = (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if task != 'chief:0': hold()\n"
        "open(os.environ['GO']).read()\n"
        "sys.exit(3)"
    )
    options = ["--grace-secs", "0.5"]
    go = tmp_path / "go"
    os.mkfifo(go)
    process = launch_process(
        *options, program=program, env={**os.environ, "GO": str(go)}
    )
    witness.wait_for_start(2)
    start_secs = time.monotonic()
    go.write_text("go")
    assert process.wait(DEADLINE_SECS) == 3
    assert time.monotonic() - start_secs >= 0.5
    witness.wait_for_end()


def test_a_parameter_server_that_ends_by_itself_is_told():
    events, lines = queue.SimpleQueue(), []
    for task in ("ps:0", "chief:0"):
        events.put(TaskEnded(task, 0))
    with Cluster(["true"], num_workers=0) as cluster:
        assert supervise(cluster, events, log=lines.append) == 0
    told = [line for line in lines if line.startswith("WARNING")]
    assert len(told) == 1
    assert "ps:0 has ended by itself" in told[0]
    assert "TF_CONFIG" in told[0]


def test_a_parameter_server_may_end_by_itself():
    assert launch(program="") == 0


def test_a_task_is_restarted(capfd, tmp_path):
    program = (
        f"marker = pathlib.Path({str(tmp_path)!r}, task)\n"
        "num_runs = len(marker.read_text()) if marker.exists() else 0\n"
        "marker.write_text('x' * (num_runs + 1))\n"
        "print('run', num_runs)\n"
        "if task == 'worker:0' and num_runs < 2: os.kill(os.getpid(), 9)"
    )
    log_dir = tmp_path / "logs"
    options = ["--ps", "0", "--restart", "2", "--log-dir", str(log_dir)]
    assert launch(*options, program=program) == 0
    out, err = capfd.readouterr()
    lines = [line for line in out.splitlines() if "worker:0" in line]
    assert lines == [f"[worker:0] run {i}" for i in range(3)]
    restarts = re.findall(r"worker:0 was killed by SIGKILL; restart (.*),", err)
    assert restarts == ["1 of 2", "2 of 2"]
    assert (log_dir / "worker_0.log").read_text() == "run 0\nrun 1\nrun 2\n"
    assert (log_dir / "chief_0.log").read_text() == "run 0\n"


def test_restarts_are_counted_per_task(capfd):
    options = ["--ps", "0", "--workers", "0", "--restart", "2"]
    assert launch(*options, program="print('run'); sys.exit(7)") == 7
    out, err = capfd.readouterr()
    assert out == "[chief:0] run\n" * 3
    assert "chief:0 failed with exit code 7; ending all tasks" in err


def test_log_files_hold_both_streams_and_replace_older_ones(tmp_path):
    log_dir = tmp_path / "a" / "b"
    log_dir.mkdir(parents=True)
    (log_dir / "ps_0.log").write_text("of an earlier job")
    program = (
        "if task != 'ps:0':\n"
        "  print('é', flush=True); sys.stderr.write('two\\n')"
    )
    assert launch("--log-dir", str(log_dir), program=program) == 0
    logs = {p.name: p.read_text("utf-8") for p in log_dir.iterdir()}
    assert sorted(logs) == ["chief_0.log", "ps_0.log", "worker_0.log"]
    assert logs["ps_0.log"] == ""
    assert sorted(logs["worker_0.log"].split()) == ["two", "é"]


def test_lines_are_never_mixed(capfd):
    program = (
        "for i in range(300):\n"
        "  for stream in sys.stdout, sys.stderr:\n"
        "    for part in 'a' * 300, 'b' * 300, f'{i}\\n':\n"
        "      stream.write(part); stream.flush()\n"
    )
    assert launch("--ps", "0", "--workers", "2", program=program) == 0
    out, err = capfd.readouterr()
    for text in out, re.sub(r"\[launch\].*\n", "", err):
        lines = text.splitlines()
        assert len(lines) == 3 * 300
        for task in "chief:0", "worker:0", "worker:1":
            of_task = [x for x in lines if x.startswith(f"[{task}] ")]
            assert of_task == [
                f"[{task}] " + "a" * 300 + "b" * 300 + str(i)
                for i in range(300)
            ]


@pytest.mark.parametrize(
    "signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
)
def test_a_signal_ends_all_and_their_children(witness, signum):
    process = launch_process(
        "--workers", "2", program=HOLD_WITH_CHILD, stderr=subprocess.PIPE
    )
    witness.wait_for_start(8)
    os.kill(process.pid, signum)
    _, err = process.communicate(timeout=DEADLINE_SECS)
    assert process.returncode == 128 + signum
    assert f"[launch] {signum.name}: ending all tasks" in err
    witness.wait_for_end()


def test_ctrl_c_twice_kills_at_once(witness):
    program = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nhold()"
    process = launch_process(
        "--grace-secs", "1000", program=program, stderr=subprocess.PIPE
    )
    witness.wait_for_start(3)
    os.kill(process.pid, signal.SIGINT)
    while "SIGINT" not in process.stderr.readline():
        pass
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=DEADLINE_SECS)
    assert process.returncode == 130
    witness.wait_for_end()


def test_nohup_keeps_the_job(witness):
    process = subprocess.Popen(
        python(
            "import signal, sys\n"
            "from wq_hooks.cli.command_line import main\n"
            "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
            f"sys.exit(main(['launch', '--', *{python(HOLD)!r}]))"
        )
    )
    witness.wait_for_start(3)
    os.kill(process.pid, signal.SIGHUP)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(DEADLINE_SECS) == 128 + signal.SIGTERM
    witness.wait_for_end()


def test_the_death_of_the_launcher_ends_all(witness):
    process = launch_process(program=HOLD_WITH_CHILD)
    witness.wait_for_start(6)
    process.kill()
    assert process.wait(DEADLINE_SECS) == -signal.SIGKILL
    witness.wait_for_end()


def test_nobody_reads_the_output_any_more(witness):
    program = (
        "print('first', flush=True)\n"
        "witness = open(os.environ['WITNESS'], 'w')\n"
        "while True: print('more', flush=True)"
    )
    process = launch_process(
        program=program, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert "] first" in process.stdout.readline()
    process.stdout.close()
    assert "Exception" not in process.stderr.read()
    process.stderr.close()
    assert process.wait(DEADLINE_SECS) == 128 + signal.SIGPIPE
    witness.wait_for_end()


# The console.


class Terminal(io.StringIO):
    def isatty(self):
        return True


def written(stream):
    console = Console(stream, io.StringIO(), pytest.fail)
    for task in "chief:0", "worker:0", "chief:0":
        console.write(Line(task, "stdout", "text"))
    return stream.getvalue()


PLAIN = "[chief:0] text\n[worker:0] text\n[chief:0] text\n"


def test_colours_on_a_terminal_tell_tasks_apart(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    chief = "\033[36m[chief:0]\033[0m text\n"
    worker = "\033[33m[worker:0]\033[0m text\n"
    assert written(Terminal()) == chief + worker + chief
    assert written(io.StringIO()) == PLAIN


@pytest.mark.parametrize(
    ("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")]
)
def test_no_colours_where_they_are_not_wanted(monkeypatch, variable, value):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(variable, value)
    assert written(Terminal()) == PLAIN


def test_what_a_stream_cannot_encode_is_replaced():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    console = Console(stream, stream, pytest.fail)
    console.write(Line("chief:0", "stdout", "né"))
    console.log("ünd")
    assert stream.buffer.getvalue() == b"[chief:0] n?\n[launch] ?nd\n"


# Arguments.


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "Expected a command after --."),
        (["--"], "Expected a command after --."),
        (["--ps", "-1"], "--ps: Expected int >= 0; got '-1'."),
        (["--workers", "two"], "--workers: Expected int >= 0; got 'two'."),
        (["--grace-secs=-1"], "--grace-secs: Expected float >= 0; got '-1'."),
        (["--restart", "x"], "--restart: Expected int >= 0; got 'x'."),
        (["--slow", "worker:0"], "TASK=FACTOR, such as worker:1=4; got"),
        (["--slow", "worker:0=much"], "TASK=FACTOR, such as worker:1=4; got"),
        (
            ["--slow", "worker:2=4", "--workers=2", "x"],
            "one of ps:0, chief:0, worker:0, worker:1; got --slow worker:2=4.",
        ),
        (["--slow", "ps:0=0.5", "x"], "a factor >= 1; got --slow ps:0=0.5."),
        (["--", "/does/not/exist"], "No such file or directory: '/does/not"),
        (["--log-dir", "/dev/null/x", "true"], "Not a directory"),
    ],
)
def test_wrong_arguments(capsys, argv, message):
    with pytest.raises(SystemExit) as raised:
        main(["launch", *argv])
    assert raised.value.code == 2
    err = capsys.readouterr().err
    assert "usage: wq-hooks launch [options] -- command" in err
    assert message in err


def test_help_has_an_example(capsys):
    with pytest.raises(SystemExit) as raised:
        main(["launch", "--help"])
    assert raised.value.code == 0
    out = capsys.readouterr().out
    assert "wq-hooks launch --ps 1 --workers 2 --slow worker:1=4 -- py" in out
