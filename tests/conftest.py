"""Fixtures that several test files share."""

from __future__ import annotations

import gc
import signal

import hypothesis
import pytest

from model_zoo.wide_and_deep import generate
from tests.support import forked, graph_text, grappler, slow_tests
from tests.support.criteo_data import NUM_FILES, ROWS_PER_FILE

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("without deadline", deadline=None)
hypothesis.settings.load_profile("without deadline")


@pytest.fixture(scope="session")
def data_location(tmp_path_factory):
    """Generated data of the Criteo format; nobody writes to it."""
    directory = str(tmp_path_factory.mktemp("criteo") / "data")
    generate.generate(
        directory, num_files=NUM_FILES, rows_per_file=ROWS_PER_FILE, seed=1
    )
    return directory


# A shell has what runs in the background ignore ctrl-C, and its children, too.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    by_id = {item.nodeid: item for item in items}
    for node_id in slow_tests.marked(by_id, slow_tests.read()):
        by_id[node_id].add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def quick_processes():
    """Clusters start their tasks in a moment; graphs are soon written."""
    graph_text.quicken()
    grappler.quicken()
    # A collection does not look through all that was imported.
    gc.collect()
    gc.freeze()
    with forked.clusters():
        yield
