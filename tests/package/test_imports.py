from __future__ import annotations

import json
import subprocess
import sys

import pytest

import wq_hooks

# What must work where TensorFlow is not installed, or is slow to load.
WITHOUT_TENSORFLOW = [
    "wq_hooks",
    "wq_hooks.cli.command_line",
    "wq_hooks.core.consumer.batches_in_training",
    "wq_hooks.core.consumer.consumer",
    "wq_hooks.core.ledger.consumer_state",
    "wq_hooks.core.chief.feeder",
    "wq_hooks.errors",
    "wq_hooks.core.items.factoring",
    "wq_hooks.cli.launch",
    "wq_hooks.core.ledger.ledger",
    "wq_hooks.launcher.local_cluster",
    "wq_hooks.core.position.sidecar_lists",
    "wq_hooks.core.chief.local_transport",
    "wq_hooks.core.items.source_sizes",
    "wq_hooks.core.position.merge",
    "wq_hooks.core.protocol.messages",
    "wq_hooks.core.options",
    "wq_hooks.core.items.order",
    "wq_hooks.core.ledger.consumer_pace",
    "wq_hooks.core.position.plan_encoding",
    "wq_hooks.core.items.plan",
    "wq_hooks.launcher.process_group",
    "wq_hooks.core.position.weights_positions",
    "wq_hooks.core.monitoring.progress",
    "wq_hooks.core.consumer.record_tracker",
    "wq_hooks.core.position.resume",
    "wq_hooks.core.items.slice_text",
    "wq_hooks.core.items.slicing",
    "wq_hooks.core.position.snapshot",
    "wq_hooks.cli.inspect",
    "wq_hooks.cli.status",
    "wq_hooks.core.monitoring.queue_state",
    "wq_hooks.core.monitoring.board_status",
    "wq_hooks.core.ledger.tail_scheduling",
    "wq_hooks.core.chief.tasks",
    "wq_hooks.core.monitoring.view",
    "wq_hooks.core.items.works",
    "wq_hooks.sources",
    "wq_hooks.sources.odps",
    "wq_hooks.sources.parquet",
    "wq_hooks.sources.registry",
    "wq_hooks.sources.slicer",
    "wq_hooks.sources.sql",
    "wq_hooks.sources.text",
    "wq_hooks.sources.tfrecord",
]

_PROBE = """
import importlib, json, sys
before = set(sys.modules)
loaded = {}
for name in sys.argv[1:]:
    importlib.import_module(name)
    loaded[name] = [
        module
        for module in sys.modules
        if module.partition(".")[0] in ("tensorflow", "keras", "tensorboard")
    ]
print(json.dumps(loaded))
"""


def run_python(code, *args):
    """Runs code in a fresh interpreter; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_pure_core_leaves_tensorflow_out():
    loaded = json.loads(run_python(_PROBE, *WITHOUT_TENSORFLOW))
    assert loaded == {name: [] for name in WITHOUT_TENSORFLOW}


def test_the_pure_core_works_where_tensorflow_cannot_be_imported():
    code = "import sys; sys.modules['tensorflow'] = None\n" + _PROBE.replace(
        '"tensorflow", ', ""
    )
    run_python(code, *WITHOUT_TENSORFLOW)


def test_public_names_are_loaded_when_first_used():
    code = """
import wq_hooks, json
def names():
    return sorted(set(wq_hooks.__all__) & set(vars(wq_hooks)))
before = names()
listed = dir(wq_hooks)
still = names()
print(json.dumps([before, listed, still]))
"""
    before, listed, still = json.loads(run_python(code))
    assert before == still == ["__version__"]
    assert listed == sorted(wq_hooks.__all__)


def test_each_public_name_has_a_module():
    assert set(wq_hooks.__all__) == {*wq_hooks._MODULE_OF_NAME, "__version__"}
    assert {"GeneralQueueRunner", "WorkQueue", "WorkQueueHook"} <= set(
        wq_hooks.__all__
    )


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'NoSuchName'"):
        _ = wq_hooks.NoSuchName
    assert not hasattr(wq_hooks, "NoSuchName")


def test_the_package_tells_its_version_and_that_it_is_typed():
    major, minor, _ = wq_hooks.__version__.split(".", 2)
    assert major.isdigit()
    assert minor.isdigit()


def test_without_tensorflow_the_error_names_what_to_install():
    code = (
        "import sys\n"
        "sys.modules['tensorflow'] = None\n"
        "try:\n"
        "    from wq_hooks import WorkQueue\n"
        "except ImportError as e:\n"
        "    print(e)\n"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert "wq-hooks[tensorflow]" in printed
    assert "WorkQueue needs" in printed
