from __future__ import annotations

import json
import signal

import pytest

from tests.support.witness import (
    DEADLINE_SECS,
    HOLD,
    HOLD_WITH_CHILD,
    Witness,
    python,
)
from wq_hooks.launcher.local_cluster import Cluster, Line

# Only so that a hang fails.
pytestmark = pytest.mark.timeout(120)

TASK = """
import json, os, signal, sys, time
task = json.loads(os.environ["TF_CONFIG"])["task"]
task = "{type}:{index}".format(**task)
"""


@pytest.fixture
def witness(tmp_path, monkeypatch):
    monkeypatch.setenv("WITNESS", str(tmp_path / "witness"))
    witness = Witness(tmp_path / "witness")
    yield witness
    witness.close()


def test_every_task_knows_the_cluster_and_its_place():
    program = "import os; print(os.environ['TF_CONFIG'])"
    with Cluster(
        python(program), num_ps=2, num_workers=2, has_evaluator=True
    ) as cluster:
        cluster.start()
        for task in cluster.tasks:
            assert cluster.wait(task, DEADLINE_SECS) == 0
    assert cluster.tasks == (
        "ps:0",
        "ps:1",
        "chief:0",
        "worker:0",
        "worker:1",
        "evaluator:0",
    )
    assert len(cluster) == 6
    assert "worker:1" in repr(cluster)
    configs = [json.loads(cluster.lines(task)[0]) for task in cluster.tasks]
    assert [c["task"] for c in configs] == [
        {"type": "ps", "index": 0},
        {"type": "ps", "index": 1},
        {"type": "chief", "index": 0},
        {"type": "worker", "index": 0},
        {"type": "worker", "index": 1},
        {"type": "evaluator", "index": 0},
    ]
    (addresses,) = {json.dumps(c["cluster"]) for c in configs}
    addresses = json.loads(addresses)
    assert {job: len(a) for job, a in addresses.items()} == {
        "ps": 2,
        "chief": 1,
        "worker": 2,
    }
    every = [address for job in addresses.values() for address in job]
    assert len(set(every)) == 5
    assert all(a.startswith("127.0.0.1:") for a in every)


def test_a_chief_alone():
    cluster = Cluster(["true"], num_ps=0, num_workers=0)
    assert cluster.tasks == cluster.job_tasks == ("chief:0",)
    config = json.loads(cluster.environment("chief:0")["TF_CONFIG"])
    assert list(config["cluster"]) == ["chief"]


def test_environment(monkeypatch):
    monkeypatch.setenv("WQ_HOOKS_SLOW", "9")
    monkeypatch.setenv("FROM_OUTSIDE", "0")
    names = ["WQ_HOOKS_SLOW", "FROM_OUTSIDE", "FOR_ALL", "FOR_ONE"]
    program = f"import os; print(*map(os.environ.get, {names}))"
    with Cluster(
        python(program), num_ps=0, slow={"worker:0": 4}, env={"FOR_ALL": "1"}
    ) as cluster:
        cluster.start("chief:0", env={"FOR_ONE": "2"})
        cluster.start("worker:0")
        assert set(cluster.wait_for_job(DEADLINE_SECS).values()) == {0}
        assert cluster.lines("chief:0") == ["None 0 1 2"]
        assert cluster.lines("worker:0") == ["4 0 1 None"]


def test_the_job_does_not_wait_for_parameter_servers(witness):
    program = f"{TASK}\nif task == 'ps:0':\n  exec({HOLD!r})\n"
    with Cluster(python(program), num_workers=2) as cluster:
        cluster.start()
        assert cluster.wait_for_job(DEADLINE_SECS) == {
            "chief:0": 0,
            "worker:0": 0,
            "worker:1": 0,
        }
        witness.wait_for_start(1)
        assert cluster.is_running("ps:0")
        assert cluster.returncode("ps:0") is None
    assert cluster.returncode("ps:0") == -signal.SIGTERM
    witness.wait_for_end()


def test_on_line_and_on_end():
    lines, ends = [], []
    program = f"{TASK}\nprint(task); sys.stderr.write('oh'); sys.exit(2)"
    with Cluster(
        python(program),
        num_ps=0,
        num_workers=0,
        keep_lines=False,
        on_line=lines.append,
        on_end=lambda *args: ends.append((*args, len(lines))),
    ) as cluster:
        cluster.start()
        cluster.wait_for_job(DEADLINE_SECS)
    assert sorted(lines, key=str) == [
        Line("chief:0", "stderr", "oh"),
        Line("chief:0", "stdout", "chief:0"),
    ]
    assert ends == [("chief:0", 2, 2)]
    assert cluster.lines("chief:0") == []


def test_lines_of_one_stream():
    program = "import sys; print('out'); sys.stderr.write('err')"
    with Cluster(python(program), num_ps=0, num_workers=0) as cluster:
        cluster.start()
        cluster.wait("chief:0", DEADLINE_SECS)
    assert cluster.lines("chief:0", "stdout") == ["out"]
    assert cluster.lines("chief:0", "stderr") == ["err"]
    assert sorted(cluster.lines("chief:0")) == ["err", "out"]


def test_kill_one_task_and_start_it_again(witness):
    program = f"{TASK}\nprint('pid', os.getpid())\n{HOLD}"
    with Cluster(python(program)) as cluster:
        cluster.start()
        witness.wait_for_start(3)
        first = cluster.pid("worker:0")
        cluster.kill("worker:0")
        assert cluster.wait("worker:0", DEADLINE_SECS) == -signal.SIGKILL
        assert cluster.is_running("chief:0")
        cluster.kill("worker:0")  # Nothing is there to be killed.

        cluster.start("worker:0")
        assert cluster.is_running("worker:0")
        match = cluster.wait_for_line(
            "worker:0", r"pid (\d+)", DEADLINE_SECS, after=1
        )
        assert int(match[1]) == cluster.pid("worker:0") != first
        assert cluster.lines("worker:0")[0] == f"pid {first}"
        with pytest.raises(RuntimeError, match=r"worker:0 to have ended"):
            cluster.start("worker:0")
    witness.wait_for_end()


def test_leaving_by_an_exception_ends_grandchildren_too(witness):
    def fail():
        with Cluster(python(HOLD_WITH_CHILD), grace_secs=0.1) as cluster:
            cluster.start()
            witness.wait_for_start(6)
            raise KeyError("in the test")

    with pytest.raises(KeyError, match="in the test"):
        fail()
    witness.wait_for_end()


def test_stop_gives_tasks_time_to_clean_up(witness):
    program = (
        "import signal, sys\n"
        "def leave(*args):\n"
        "  print('bye', flush=True)\n"
        "  sys.exit(0)\n"
        f"signal.signal(signal.SIGTERM, leave)\n{HOLD}"
    )
    with Cluster(
        python(program), num_ps=0, grace_secs=DEADLINE_SECS
    ) as cluster:
        cluster.start()
        witness.wait_for_start(2)
        cluster.kill("worker:0", signal.SIGSTOP)
        cluster.stop()
        for task in cluster.tasks:
            assert cluster.lines(task) == ["bye"]
            assert cluster.returncode(task) == 0


def test_parameter_servers_are_stopped_last(witness, tmp_path):
    program = (
        "import json, os, pathlib, signal, sys, time\n"
        "job = json.loads(os.environ['TF_CONFIG'])['task']['type']\n"
        f"path = pathlib.Path({str(tmp_path / 'server-has-ended')!r})\n"
        "def leave(*args):\n"
        "  if job == 'ps':\n"
        "    path.touch()\n"
        "  for _ in range(20):\n"
        "    if job != 'ps' and path.exists():\n"
        "      sys.exit(1)\n"
        "    time.sleep(0.02)\n"
        "  sys.exit(0)\n"
        f"signal.signal(signal.SIGTERM, leave)\n{HOLD}"
    )
    with Cluster(python(program), grace_secs=DEADLINE_SECS) as cluster:
        cluster.start()
        witness.wait_for_start(3)
        cluster.stop()
        assert {cluster.returncode(task) for task in cluster.tasks} == {0}


def test_stop_kills_what_does_not_listen(witness):
    program = (
        f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{HOLD}"
    )
    with Cluster(python(program), grace_secs=0.1) as cluster:
        cluster.start()
        witness.wait_for_start(3)
    witness.wait_for_end()
    assert {cluster.returncode(t) for t in cluster.tasks} == {-signal.SIGKILL}


def test_waiting_has_limits(witness):
    program = f"print('the last words')\n{HOLD}"
    with Cluster(python(program), num_ps=0, num_workers=0) as cluster:
        cluster.start()
        witness.wait_for_start(1)
        cluster.wait_for_line("chief:0", "last words", DEADLINE_SECS)
        with pytest.raises(TimeoutError, match=r"within 0 s\.\n  the last"):
            cluster.wait("chief:0", timeout_secs=0)
        with pytest.raises(TimeoutError, match="chief:0 to end"):
            cluster.wait_for_job(timeout_secs=0)
        with pytest.raises(TimeoutError, match=r"'x' from chief:0 within 0"):
            cluster.wait_for_line("chief:0", "x", timeout_secs=0)
        assert cluster.is_running("chief:0")
        cluster.kill("chief:0")
        with pytest.raises(RuntimeError, match=r"ended with -9\.\n  the last"):
            cluster.wait_for_line("chief:0", "x", DEADLINE_SECS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"command": []}, r"non-empty list; got \[\]"),
        ({"command": "true"}, "non-empty list; got 'true'"),
        ({"num_ps": -1}, "num_ps >= 0; got num_ps=-1"),
        ({"num_workers": -1}, "num_workers >= 0; got num_workers=-1"),
        ({"grace_secs": float("nan")}, "grace_secs >= 0; got grace_secs=nan"),
        ({"slow": {"worker:1": 2}}, "ps:0, chief:0, worker:0; got .*worker:1"),
        ({"slow": {"ps:0": 0.5}}, "factor >= 1 for ps:0; got 0.5"),
        ({"slow": {"ps:0": float("inf")}}, "factor >= 1 for ps:0; got inf"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Cluster(**{"command": ["true"], **arguments})


def test_wrong_use():
    cluster = Cluster(["true"])
    with pytest.raises(RuntimeError, match="inside of 'with cluster'"):
        cluster.start()
    with cluster:
        with pytest.raises(RuntimeError, match="chief:0 to have been started"):
            cluster.wait("chief:0")
        with pytest.raises(ValueError, match="got task 'chief'"):
            cluster.start("chief")
    cluster = Cluster(["/does/not/exist"])
    with cluster, pytest.raises(FileNotFoundError):
        cluster.start()
