"""Takes that ctrl-C may interrupt.

    transport = PatientTakes(remote_mailbox)

Python hears of ctrl-C between bytecodes, not while the main thread is inside a
step of TensorFlow. So the main thread lets another one take, and waits for it
in Python. What that one brings after an interrupt is not lost: the next take
of the same consumer gets it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future

from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.messages import Claim, Element, Report
from wq_hooks.core.protocol.transports import ConsumerTransport


class PatientTakes:
    """A ConsumerTransport whose takes leave the main thread interruptible.

    Args:
      transport: Transport that items come from.
    """

    def __init__(self, transport: ConsumerTransport):
        self._transport = transport
        self._under_way: dict[Consumer, Future[Element | None]] = {}
        self.report = transport.report

    def take(
        self, consumer: Consumer, completed: Sequence[Claim]
    ) -> Element | None:
        """Takes as the transport does."""
        if threading.current_thread() is not threading.main_thread():
            return self._transport.take(consumer, completed)
        future = self._under_way.get(consumer)
        if future is None:
            future = self._begin(consumer, completed)
            self._under_way[consumer] = future
        elif completed:
            self.report(Report(messages.ACK, consumer, tuple(completed)))
        error = future.exception()
        del self._under_way[consumer]
        if error is not None:
            raise error
        return future.result()

    def _begin(
        self, consumer: Consumer, completed: Sequence[Claim]
    ) -> Future[Element | None]:
        future: Future[Element | None] = Future()

        def take() -> None:
            try:
                future.set_result(self._transport.take(consumer, completed))
            except Exception as e:
                future.set_exception(e)

        threading.Thread(target=take, name="take", daemon=True).start()
        return future
