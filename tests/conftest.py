"""Fixtures that several test files share."""

from __future__ import annotations

import subprocess
import types

import hypothesis
import pytest

from model_zoo.wide_and_deep import generate
from tests.support.criteo_data import NUM_FILES, ROWS_PER_FILE
from tests.support.zygote import Zygotes
from wq_hooks.launcher import process_group

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


@pytest.fixture(scope="session", autouse=True)
def zygotes():
    """Clusters start their tasks in a moment; see the module."""
    zygotes = Zygotes()
    started = types.SimpleNamespace(
        **{**vars(subprocess), "Popen": zygotes.popen}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process_group, "subprocess", started)
        yield zygotes
    zygotes.close()
