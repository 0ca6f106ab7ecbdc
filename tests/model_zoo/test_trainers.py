"""Every trainer of the model zoo: alone in a copy, and with a worker killed."""

from __future__ import annotations

import ast
import collections
import contextlib
import dataclasses
import io
import json
import os
import re
import shutil
import signal
import sys
import threading
import time

import pytest
import tensorflow as tf

import wq_hooks
from tests.support import forked
from tests.support.criteo_data import BAR, NUM_RECORDS
from tests.support.environment import environment
from tests.support.keras_version import has_keras_2
from tests.support.paths import ROOT
from wq_hooks.cli import command_line
from wq_hooks.launcher.local_cluster import Cluster

ZOO = ROOT / "model_zoo"
TRAINERS = sorted(
    path.relative_to(ZOO).with_suffix("").as_posix().replace("/", ".")
    for path in ZOO.glob("*/train_*.py")
)
PUBLIC_MODULES = {"errors", "readers", "sources"}
MAX_LINES, MAX_LINES_OF_ALL = 150, 4100

NUM_FILES, NUM_ROWS = 12, 64
# Of a test that hangs.
DEADLINE_SECS = 200.0


@dataclasses.dataclass(frozen=True)
class Way:
    """What is special about how a trainer runs.

    Attributes:
      flags: Flags, beside the usual ones.
      kill_flags: Those of the run in which a worker is killed.
      is_served: Whether workers only serve: they do not end by themselves.
      modules: Modules beside `model` and `data`.
      is_alone: Whether it runs without a cluster.
      num_ps: How many parameter servers it has.
      num_epochs: Epochs of the run in which a worker is killed.
      needs: What it does not run without, and whether that is there.
    """

    flags: tuple[str, ...] = ()
    kill_flags: tuple[str, ...] = ()
    is_served: bool = False
    modules: tuple[str, ...] = ()
    is_alone: bool = True
    num_ps: int = 1
    num_epochs: int = 1
    needs: tuple[str, bool] = ("", True)


# The chief alone takes so long that the others are there before the end.
_PADDED = Way(kill_flags=("--step_secs=0.25", "--slow_task=chief:0"))
# Steps are not padded; there are more of them.
_SERVED = Way(is_served=True, num_epochs=5)
WAYS = collections.defaultdict(
    Way,
    {
        "wide_and_deep.train_monitored_session": _PADDED,
        "wide_and_deep.train_estimator": dataclasses.replace(
            _PADDED, needs=("tf.estimator", hasattr(tf, "estimator"))
        ),
        "wide_and_deep.train_keras": _SERVED,
        "multi_task.train_monitored_session": dataclasses.replace(
            _PADDED, modules=("feeder",)
        ),
        "din.train_monitored_session": dataclasses.replace(_PADDED, num_ps=2),
        "din.train_parameter_server_strategy": dataclasses.replace(
            _SERVED, is_alone=False, num_ps=2
        ),
    },
)
# One for each model, and each optimizer.
LEARNERS = [
    "wide_and_deep.train_monitored_session",
    "wide_and_deep.train_keras",
    "din.train_monitored_session",
]
# Of the cluster alone.
CLUSTER_NEEDS = {"wide_and_deep.train_keras": ("Keras 2", has_keras_2)}


def environment_of(trainer):
    # tf.estimator imports Keras.
    has_keras = trainer.endswith(("_keras", "_estimator"))
    return {
        **{k: v for k, v in os.environ.items() if k != "TF_CONFIG"},
        **environment(has_keras=has_keras),
    }


def generate(trainer, directory, *flags):
    model = trainer.partition(".")[0]
    forked.run(
        [
            *(sys.executable, "-m", f"model_zoo.{model}.generate"),
            *(f"--output_dir={directory}", *flags),
        ],
        cwd=ROOT,
        env=environment_of(trainer),
        timeout=DEADLINE_SECS,
        check=True,
    )


@pytest.fixture(scope="module")
def data_of(tmp_path_factory):
    """Generates little data with each model's own generator, once."""
    directories = {}

    def generated(trainer):
        model = trainer.partition(".")[0]
        if model not in directories:
            directory = directories[model] = (
                tmp_path_factory.mktemp(model) / "d"
            )
            sizes = f"--num_files={NUM_FILES}", f"--rows_per_file={NUM_ROWS}"
            generate(trainer, directory, *sizes, "--eval_rows=200")
        return directories[model]

    return generated


def command_of(trainer, data, checkpoint):
    return [
        *(sys.executable, "-m", f"model_zoo.{trainer}"),
        *(f"--data_location={data}", f"--checkpoint={checkpoint}"),
        *("--log_records", "--batch_size=16", "--shuffle_buffer=32"),
        *WAYS[trainer].flags,
    ]


def trained(checkpoint):
    """How many records of each key were trained."""
    records = collections.Counter()
    for path in checkpoint.glob("trained/*.tsv"):
        for line in path.read_text().splitlines():
            _, number, key = line.split("\t")
            records[key] += int(number)
    return records


def check_result(checkpoint):
    result = json.loads((checkpoint / "result.json").read_text())
    assert result["rows"] == 200
    assert result["step"] > 0


def test_each_model_has_trainers():
    models = {path.parent.name for path in ZOO.glob("*/model.py")}
    assert {"din", "multi_task", "wide_and_deep"} <= models
    assert models == {trainer.partition(".")[0] for trainer in TRAINERS}
    assert set(WAYS) <= set(TRAINERS)


@pytest.mark.parametrize("trainer", TRAINERS)
def test_runs_alone_in_a_copy(trainer, data_of, tmp_path, monkeypatch):
    """A copy of what the README names is a whole program."""
    way = WAYS[trainer]
    what, is_there = way.needs
    if not is_there:
        pytest.skip(f"needs {what}")
    model, _, program = trainer.partition(".")
    shutil.copytree(ZOO / "common", tmp_path / "model_zoo/common")
    (tmp_path / "model_zoo" / model).mkdir()
    for name in ("__init__", f"{model}/__init__"):
        (tmp_path / f"model_zoo/{name}.py").touch()
    for name in ("model", "data", program, *way.modules):
        path = f"model_zoo/{model}/{name}.py"
        shutil.copy(ROOT / path, tmp_path / path)
    checkpoint = tmp_path / "checkpoints"
    env = environment_of(trainer)
    # The package is installed; the repository is not at hand.
    env["PYTHONPATH"] = str(tmp_path)
    command = command_of(trainer, data_of(trainer), checkpoint)
    if way.is_alone:
        done = forked.run(command, cwd=tmp_path, env=env, timeout=DEADLINE_SECS)
        assert done.returncode == 0, done.stderr
        out = done.stdout
    else:
        monkeypatch.chdir(tmp_path)
        cluster = Cluster(command, num_ps=way.num_ps, num_workers=1, env=env)
        with cluster:
            cluster.start()
            code = cluster.wait("chief:0", timeout_secs=DEADLINE_SECS)
            out = "\n".join(cluster.lines("chief:0"))
        assert code == 0, out
    assert re.search(r"^AUC .*0\.\d+ .* 200 rows, step ", out, re.M)
    check_result(checkpoint)
    records = trained(checkpoint)
    assert sum(records.values()) == NUM_FILES * NUM_ROWS
    assert len(set(records.values())) == 1, "each record exactly once"


@pytest.mark.parametrize("trainer", LEARNERS)
def test_learns_what_can_be_learnt_and_resumes(
    trainer, data_location, tmp_path_factory, tmp_path
):
    """Each model, on the data of its generator's defaults."""
    directory = data_location
    if not trainer.startswith("wide_and_deep"):
        directory = tmp_path_factory.mktemp("whole") / "data"
        generate(trainer, directory)

    def train(*flags):
        done = forked.run(
            [
                *(sys.executable, "-m", f"model_zoo.{trainer}"),
                *(f"--data_location={directory}", f"--checkpoint={tmp_path}"),
                *("--seed=1", "--log_records", *flags),
            ],
            cwd=ROOT,
            env=environment_of(trainer),
            timeout=DEADLINE_SECS,
        )
        assert done.returncode == 0, done.stderr
        result = json.loads((tmp_path / "result.json").read_text())
        return result, sum(trained(tmp_path).values())

    first, num_first = train("--steps=100")
    assert first["step"] == 100
    assert num_first == 100 * 128
    result, num_trained = train()
    # What was in flight is trained once more, and nothing else.
    assert NUM_RECORDS <= num_trained < NUM_RECORDS + num_first
    assert result["rows"] == 10_000
    assert BAR <= result["reached"] < 1.0


def error_of(trainer, empty):
    """Returns what a trainer that fails at once says."""
    done = forked.run(
        command_of(trainer, empty, empty),
        cwd=ROOT,
        env=environment_of(""),
        timeout=DEADLINE_SECS,
    )
    assert done.returncode == 1
    return done.stderr


def test_what_is_missing_is_said(tmp_path):
    error = error_of("wide_and_deep.train_monitored_session", tmp_path)
    assert "Expected files train/* or train*" in error


@pytest.mark.skipif(hasattr(tf, "estimator"), reason="there is tf.estimator")
def test_where_there_is_no_estimator_it_is_said(tmp_path):
    error = error_of("wide_and_deep.train_estimator", tmp_path)
    assert "has no tf.estimator" in error
    assert "train_monitored_session" in error


RESTARTED = "worker:0 was killed by SIGKILL; restart 1"


class Killer(threading.Thread):
    """Kills worker:0 when it has trained something; ends a served job.

    Args:
      checkpoint: Directory of the job.
      is_served: Whether the job is to be ended when it has reported.
      errors: Where the launcher writes.
    """

    def __init__(self, checkpoint, is_served, errors):
        super().__init__(daemon=True)
        self._checkpoint = checkpoint
        self._is_served = is_served
        self._errors = errors
        self._is_over = threading.Event()
        self.has_killed = False

    def run(self):
        names = ("workers", "worker_0")
        paths = [self._checkpoint / f"trained/{name}.tsv" for name in names]
        deadline = time.monotonic() + DEADLINE_SECS
        while not self._is_over.wait(0.02):
            if not self.has_killed and any(p.exists() for p in paths):
                started = re.search(
                    r"worker:0 \(pid (\d+)\)", self._errors.getvalue()
                )
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(started[1]), signal.SIGKILL)
                    self.has_killed = True
            is_done = (
                RESTARTED in self._errors.getvalue()
                and (self._checkpoint / "result.json").exists()
            )
            is_late = time.monotonic() > deadline
            if is_late or (self._is_served and is_done):
                # The launcher may have ended by itself.
                if callable(signal.getsignal(signal.SIGTERM)):
                    os.kill(os.getpid(), signal.SIGTERM)
                return

    def close(self):
        self._is_over.set()
        self.join()


@pytest.mark.cluster
@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_slow_worker_and_a_killed_one_lose_nothing(
    trainer, data_of, tmp_path, monkeypatch
):
    way = WAYS[trainer]
    for what, is_there in (
        way.needs,
        CLUSTER_NEEDS.get(trainer, ("", True)),
    ):
        if not is_there:
            pytest.skip(f"needs {what}")
    data = data_of(trainer)
    for name, value in environment_of(trainer).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.chdir(ROOT)
    launch = ["launch", f"--ps={way.num_ps}", "--workers=2"]
    launch += ["--slow=worker:1=2", "--restart=1", "--grace-secs=1", "--"]
    errors = io.StringIO()
    killer = Killer(tmp_path, way.is_served, errors)
    killer.start()
    try:
        with contextlib.redirect_stderr(errors):
            code = command_line.main(
                [
                    *(*launch, *command_of(trainer, data, tmp_path)),
                    *(f"--num_epochs={way.num_epochs}", *way.kill_flags),
                ]
            )
    finally:
        killer.close()
    assert code == (143 if way.is_served else 0), errors.getvalue()[-5000:]
    assert killer.has_killed
    assert RESTARTED in errors.getvalue()
    check_result(tmp_path)
    records = trained(tmp_path)
    # A key is a file, or a record.
    num_rows = NUM_FILES * NUM_ROWS // len(records)
    assert len(records) in (NUM_FILES, NUM_FILES * NUM_ROWS)
    assert min(records.values()) >= num_rows * way.num_epochs


def imports_of(path):
    """Names that a program imports of wq_hooks."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            yield from (n for n in names if n.split(".")[0] == "wq_hooks")
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "wq_hooks":
                yield from (alias.name for alias in node.names)
            elif node.module.startswith("wq_hooks."):
                yield node.module


def test_only_the_public_api_is_imported():
    public = {*wq_hooks.__all__, *PUBLIC_MODULES}
    public |= {f"wq_hooks.{name}" for name in PUBLIC_MODULES}
    found = {name for p in ZOO.rglob("*.py") for name in imports_of(p)}
    assert {"WorkQueue", "WorkQueueHook"} <= found <= public


def test_programs_are_short():
    lines = {
        path: len(path.read_text().splitlines())
        for pattern in ("*.py", "*.md")
        for path in ZOO.rglob(pattern)
    }
    assert sum(lines.values()) < MAX_LINES_OF_ALL
    trainers = {p: n for p, n in lines.items() if p.name.startswith("train_")}
    assert len(trainers) == len(TRAINERS)
    assert max(trainers.values()) <= MAX_LINES
