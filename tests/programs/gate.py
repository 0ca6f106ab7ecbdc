"""Files that the tasks of a job wait for, so that they start together."""

from __future__ import annotations

import os
import time
from pathlib import Path


class Gate:
    """Holds the tasks of a job back until the test lets them train.

    Args:
      path: Path of a file that the test makes.
    """

    def __init__(self, path):
        self._path = Path(path)
        self._model = Path(f"{path}-model")

    def open_model(self):
        """Tells the workers that the chief has initialised the model."""
        self._model.touch()

    def wait_for_model(self):
        """Waits for the chief: a session that finds no model sleeps 30 s."""
        _wait_for(self._model)

    def wait(self):
        """Waits for the test."""
        _wait_for(self._path)

    def wait_for_all(self, index, num_tasks):
        """Waits until all tasks have come here.

        Args:
          index: Which task this is.
          num_tasks: How many there are.
        """
        Path(f"{self._path}-{index}").touch()
        for other in range(num_tasks):
            _wait_for(f"{self._path}-{other}")


def _wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.02)
