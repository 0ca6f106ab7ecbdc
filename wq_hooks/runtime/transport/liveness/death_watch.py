"""The chief's thread that notices tasks which have died.

    watch = DeathWatch(chief, addresses, beat_secs=0.5)
    watch.watch(coord.wait_for_stop)

`core/chief/failure_detector.py` decides. Each probe has a thread of its own, so
that a host that is silent does not keep the others waiting.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from wq_hooks.core import log as logging
from wq_hooks.core.chief.chief import Chief
from wq_hooks.core.chief.failure_detector import FailureDetector, Probe
from wq_hooks.runtime.transport.liveness.port_probe import find_endpoint, knock

_LOOK_EVERY_SECS = 0.2


class DeathWatch:
    """Takes the leases from tasks whose ports refuse connections.

    Args:
      chief: The chief.
      addresses: Addresses of the tasks, by name.
      beat_secs: How often a task says that it is alive.
    """

    def __init__(
        self, chief: Chief, addresses: Mapping[str, str], *, beat_secs: float
    ):
        self._chief = chief
        self._detector = FailureDetector(addresses, beat_secs=beat_secs)

    def watch(self, pause: Callable[[float], bool]) -> None:
        """Watches until it is told to stop.

        Args:
          pause: Waits for that many seconds; returns whether to stop.
        """
        members = self._chief.ledger.membership
        while not pause(_LOOK_EVERY_SECS):
            with self._chief.changed:
                probes = self._detector.due(members, time.monotonic())
            for probe in probes:
                threading.Thread(
                    target=self._ask, args=(probe,), name="probe", daemon=True
                ).start()

    def _ask(self, probe: Probe) -> None:
        chief, detector = self._chief, self._detector
        if probe.endpoint is None:
            endpoint = find_endpoint(probe.address)
            with chief.changed:
                detector.note_endpoint(probe, endpoint, time.monotonic())
            return
        answer = knock(probe.endpoint)
        with chief.changed:
            now = time.monotonic()
            members = chief.ledger.membership
            if detector.note_answer(probe, answer, members, now):
                logging.warning(
                    "Work queue %s: %s has died: nothing was heard of it for "
                    "%.1f s, and its address (%s) refuses connections.",
                    chief.name,
                    probe.task,
                    now - probe.last_heard,
                    probe.address,
                )
                members.note_dead(probe.task, now)
                chief.has_news = True
                chief.tick(now)
