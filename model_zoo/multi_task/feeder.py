"""The feeder: looks for new hours, and adds them to an open queue.

    hours = HoursFile("checkpoints/hours.json")
    queue = WorkQueue(hours.listed(data_location, is_chief=...), is_open=True)
    feeder = Feeder(queue, data_location, hours, evaluate=...)
    hooks = [WorkQueueHook(), FeederHook(feeder)]      # in this order

The hours that are there when the job begins are listed, and may be cut. Those
that come later are added whole. An hour that comes after a later one is late,
and gets a priority. The newest hour is evaluated before it is added.

The trap: a queue tells how many works it knows (`num_added`), not which. So a
file keeps them in the order of adding, and is written before the queue is told.
After a restart of the chief the rest of the file is added again.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from absl import logging

from model_zoo.multi_task import data
from wq_hooks import WorkQueue

_LATE = 1  # the priority of what is late
_WAIT_SECS = 0.5
# An evaluation that takes longer is not waited for.
_END_SECS = 5.0


class HoursFile:
    """Which works are listed, and which were added, in their order."""

    def __init__(self, path: str):
        self._path = path

    def listed(self, data_location: str, *, is_chief: bool) -> list[str]:
        """Returns the files to list: the same for each task, in each run.

        The chief decides, in the first run, and waits for the first hour.
        """
        while not tf.io.gfile.exists(self._path):
            hours = data.find_hours(data_location) if is_chief else {}
            if any(hours.values()):
                self.write([p for paths in hours.values() for p in paths], [])
            else:
                time.sleep(_WAIT_SECS)
        return self.read()[0]

    def read(self) -> tuple[list[str], list[tuple[str, int]]]:
        """Returns the works listed, and those added with their priorities."""
        with tf.io.gfile.GFile(self._path) as file:
            listed, added = json.loads(file.read())
        return listed, [(path, priority) for path, priority in added]

    def write(self, listed: list[str], added: list[tuple[str, int]]) -> None:
        """Writes the file, which others see whole or not at all."""
        tf.io.gfile.makedirs(os.path.dirname(self._path))
        with tf.io.gfile.GFile(f"{self._path}.tmp", "w") as file:
            file.write(json.dumps([listed, added], indent=0))
        tf.io.gfile.rename(f"{self._path}.tmp", self._path, overwrite=True)


class Feeder:
    """Adds hours to a queue; on the chief.

    Args:
      queue: A WorkQueue made with `is_open=True`.
      data_location: Directory of the hours.
      hours: What was listed and added.
      evaluate: Called with a new hour and its files, before it is added.
    """

    def __init__(
        self,
        queue: WorkQueue,
        data_location: str,
        hours: HoursFile,
        evaluate: Callable[[str, list[str]], Any] = lambda hour, paths: None,
    ):
        self._queue = queue
        self._data_location = data_location
        self._hours = hours
        self._evaluate = evaluate

    def catch_up(self) -> None:
        """Adds what was added before, and the checkpoint does not know."""
        _, added = self._hours.read()
        for path, priority in added[self._queue.num_added :]:
            self._queue.add_works([path], priority=priority)

    def look(self) -> bool:
        """Adds what has come; returns False when no more will come."""
        end = os.path.join(self._data_location, data.END)
        has_ended = bool(tf.io.gfile.exists(end))
        listed, added = self._hours.read()
        known = {data.hour_of(path) for path in listed}
        known |= {data.hour_of(path) for path, _ in added}
        found = data.find_hours(self._data_location)
        new = [hour for hour in found if hour not in known]
        for hour in new:
            is_late = hour < max(known)
            if hour == new[-1] and not is_late:
                self._evaluate(hour, found[hour])
            priority = _LATE if is_late else 0
            logging.info("Hour %s comes%s.", hour, " late" * is_late)
            added += [(path, priority) for path in found[hour]]
            self._hours.write(listed, added)
            self._queue.add_works(found[hour], priority=priority)
        if has_ended:
            self._queue.close_works()
        return not has_ended


class FeederHook(tf.compat.v1.train.SessionRunHook):
    """Lets a feeder look for new hours, in a thread; on the chief.

    `after_create_session` begins the thread, behind that of WorkQueueHook,
    which waits until the position was read. `end`, or the session's
    Coordinator, ends it. Its errors end the session.

    Args:
      feeder: The feeder.
      poll_secs: How long to wait between two looks.
    """

    def __init__(self, feeder: Feeder, *, poll_secs: float):
        self._feeder = feeder
        self._poll_secs = poll_secs
        self._has_ended = threading.Event()
        self._thread: threading.Thread | None = None

    def after_create_session(self, session: Any, coord: Any) -> None:
        """Begins to look."""
        if self._thread is None:
            self._feeder.catch_up()
        else:
            # The session was created again. The queue still has its works.
            self._thread.join()
        self._thread = threading.Thread(
            target=self._look, args=[coord], name="feeder", daemon=True
        )
        self._thread.start()

    def end(self, session: Any) -> None:
        """Ends the thread."""
        self._has_ended.set()
        if self._thread is not None:
            self._thread.join(_END_SECS)

    def _look(self, coord: Any) -> None:
        with coord.stop_on_exception():
            while self._feeder.look() and not coord.should_stop():
                if self._has_ended.wait(self._poll_secs):
                    return
