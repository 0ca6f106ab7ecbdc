"""An HTTP server in the chief that answers Prometheus and `wq-hooks status`.

    endpoint = MetricsEndpoint(9100, read_states)
    endpoint.port
    endpoint.close()

`/metrics` is Prometheus' text, `/status` the states as JSON. It is read-only.
The trap: it tells the names of files and workers to whoever reaches the port.
"""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref import simple_server

from wq_hooks.core import log as logging
from wq_hooks.errors import WorkQueueError
from wq_hooks.metrics.prometheus import (
    States,
    prometheus_client,
    registry_of,
)

STATUS_PATH = "/status"


class _Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    daemon_threads = True


class _Handler(simple_server.WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing of each scrape."""


class MetricsEndpoint:
    """Serves the states of queues, in a thread of its own, until `close`.

    Args:
      port: TCP port, on all interfaces; 0: a free one.
      read: Returns the states of the queues; called for each request, in a
        thread of the server.

    Raises:
      WorkQueueError: If prometheus_client is not installed, or the port is
        taken.
    """

    def __init__(self, port: int, read: Callable[[], States]):
        metrics = prometheus_client().make_wsgi_app(registry_of(read))

        def answer(environ: Any, start_response: Any) -> Iterable[bytes]:
            if environ["PATH_INFO"] != STATUS_PATH:
                return metrics(environ, start_response)
            body = json.dumps(list(read())).encode()
            start_response("200 OK", [("Content-Type", "application/json")])
            return [body]

        try:
            self._server = simple_server.make_server(
                "", port, answer, _Server, handler_class=_Handler
            )
        except OSError as e:
            raise WorkQueueError(
                f"Expected metrics_port={port} to be free; got: {e}. Choose "
                "another, or 0 for any."
            ) from e
        threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.1},
            name="wq_hooks_metrics",
            daemon=True,
        ).start()
        logging.info("Metrics are at http://:%d/metrics.", self.port)

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self._server.server_port)

    def close(self) -> None:
        """Ends the server, and frees the port."""
        self._server.shutdown()
        self._server.server_close()
