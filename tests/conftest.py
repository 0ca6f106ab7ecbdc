"""Fixtures that several test files share."""

from __future__ import annotations

import pytest
from criteo_data import NUM_FILES, ROWS_PER_FILE

from model_zoo.wide_and_deep import generate


@pytest.fixture(scope="session")
def data_location(tmp_path_factory):
    """Generated data of the Criteo format; nobody writes to it."""
    directory = str(tmp_path_factory.mktemp("criteo") / "data")
    generate.generate(
        directory, num_files=NUM_FILES, rows_per_file=ROWS_PER_FILE, seed=1
    )
    return directory
