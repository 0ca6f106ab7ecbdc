"""Takes that ctrl-C may interrupt.

    transport = PatientTakes(remote_mailbox)

Python hears of ctrl-C between bytecodes, not while the main thread is inside a
step of TensorFlow. So the main thread lets another one take, and waits for it
in Python. What that one brings after an interrupt is not lost: the next take
of the same consumer gets it.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

from wq_hooks.core.consumer.consumer import Transport
from wq_hooks.core.protocol import messages


class PatientTakes:
    """A Transport whose takes leave the main thread interruptible.

    Args:
      transport: Where items come from.
    """

    def __init__(self, transport: Transport):
        self._transport = transport
        self._under_way: dict[str, Future[Any]] = {}

    def take(self, gate: int, sender: str, completed: str) -> Any:
        """Takes; see `wq_hooks.core.consumer.consumer.Transport`."""
        if threading.current_thread() is not threading.main_thread():
            return self._transport.take(gate, sender, completed)
        future = self._under_way.get(sender)
        if future is None:
            future = self._begin(gate, sender, completed)
            self._under_way[sender] = future
        elif completed:
            self._transport.report(messages.ACK, sender, completed)
        error = future.exception()
        del self._under_way[sender]
        if error is not None:
            raise error
        return future.result()

    def report(
        self, kind: str, sender: str, payload: str, timeout_secs: float = 0.0
    ) -> None:
        """Reports; see `wq_hooks.core.consumer.consumer.Transport`."""
        self._transport.report(kind, sender, payload, timeout_secs)

    def _begin(self, gate: int, sender: str, completed: str) -> Future[Any]:
        future: Future[Any] = Future()

        def take() -> None:
            try:
                future.set_result(self._transport.take(gate, sender, completed))
            except Exception as e:
                future.set_exception(e)

        threading.Thread(target=take, name="take", daemon=True).start()
        return future
