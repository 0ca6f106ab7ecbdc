"""The text that Prometheus reads, written by its own library.

    text_of([state])                # what a scrape returns

Needs prometheus_client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from wq_hooks.core.monitoring.checked_state import checked_state
from wq_hooks.core.monitoring.metrics import METRICS, PREFIX, samples_of
from wq_hooks.errors import WorkQueueError

States = Sequence[Mapping[str, Any]]


def prometheus_client() -> Any:
    """Returns the library.

    Raises:
      WorkQueueError: If it is not installed.
    """
    try:
        import prometheus_client
        import prometheus_client.core
    except ImportError as e:
        raise WorkQueueError(
            "Expected prometheus_client to be installed; it is not. Install "
            "wq-hooks[prometheus]."
        ) from e
    return prometheus_client


class StatesCollector:
    """Collector of prometheus_client: asks for the states at each scrape.

    Args:
      read: Returns the states of the queues.
    """

    def __init__(self, read: Callable[[], States]):
        self._read = read

    def collect(self) -> Iterable[Any]:
        """Returns the metric families."""
        core = prometheus_client().core
        families: dict[str, Any] = {}
        for metric in METRICS:
            make = (
                core.CounterMetricFamily
                if metric.is_counter
                else core.GaugeMetricFamily
            )
            families[metric.name] = make(
                PREFIX + metric.name, metric.help, labels=metric.labels
            )
        for state in self._read():
            for name, rows in samples_of(checked_state(dict(state))).items():
                for labels, value in rows:
                    families[name].add_metric(labels, value)
        return families.values()


def registry_of(read: Callable[[], States]) -> Any:
    """Returns a prometheus_client.CollectorRegistry of the queues.

    Args:
      read: Returns the states of the queues.

    Raises:
      WorkQueueError: If prometheus_client is not installed.
    """
    registry = prometheus_client().CollectorRegistry(auto_describe=False)
    registry.register(StatesCollector(read))
    return registry


def text_of(states: States) -> str:
    """Returns the metrics of queues in Prometheus' text format.

    Args:
      states: States of the queues; see `core/monitoring/queue_state.py`.

    Raises:
      WorkQueueError: If prometheus_client is not installed.
    """
    registry = registry_of(lambda: states)
    return str(prometheus_client().generate_latest(registry).decode())
