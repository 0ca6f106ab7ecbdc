"""The metrics port of a chief: opened by hooks and callbacks that ask for it.

metrics = ChiefMetrics(9100)
metrics.start(engines)       # again and again: once is enough
metrics.close()
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from wq_hooks.core.chief.chief import Chief
from wq_hooks.core.monitoring.view import Viewer
from wq_hooks.core.values import as_optional_port
from wq_hooks.metrics.endpoint import MetricsEndpoint

# A training that has failed has not closed its port, and is tried again.
_OPEN: dict[int, MetricsEndpoint] = {}


class HasChief(Protocol):
    """An engine whose ledger may be in this process."""

    @property
    def name(self) -> str:
        """Name of the queue."""

    @property
    def chief(self) -> Chief | None:
        """Its chief; None while no session runs."""


class ChiefMetrics:
    """Opens the port with the first `start`, and closes it with `close`.

    Args:
      port: TCP port; 0: a free one; None: no port, and `start` does nothing.

    Raises:
      TypeError: If `port` is no int.
      ValueError: If it is out of range.
    """

    def __init__(self, port: int | None):
        self._port = as_optional_port("metrics_port", port)
        self._engines: Sequence[HasChief] = ()
        self._viewers: dict[str, Viewer] = {}
        self.endpoint: MetricsEndpoint | None = None

    def start(self, engines: Sequence[HasChief]) -> None:
        """Serves the numbers of the queues, of those that have a chief here.

        Raises:
          WorkQueueError: If prometheus_client is not installed, or the port is
            taken.
        """
        self._engines = list(engines)
        if self._port is None or self.endpoint is not None or not engines:
            return
        former = _OPEN.pop(self._port, None)
        if former is not None:
            former.close()
        self.endpoint = MetricsEndpoint(self._port, self._states)
        _OPEN[self.endpoint.port] = self.endpoint

    def close(self) -> None:
        """Frees the port."""
        if self.endpoint is not None:
            if _OPEN.get(self.endpoint.port) is self.endpoint:
                del _OPEN[self.endpoint.port]
                self.endpoint.close()
            self.endpoint = None

    def _states(self) -> list[dict[str, Any]]:
        chiefs = [(engine.name, engine.chief) for engine in self._engines]
        return [
            chief.view(self._viewers.setdefault(name, Viewer(name))).state
            for name, chief in chiefs
            if chief is not None
        ]
