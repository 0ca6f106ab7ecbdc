"""The queues between a dataset in eager mode and its consumer."""

from __future__ import annotations

import sys
import threading

from wq_hooks.runtime.process_ports.local_queues import ItemPort


def test_numbers_that_are_given_are_not_kept():
    # TensorFlow keeps each Python number that is made a tensor, for good.
    port = ItemPort("given")
    slots = [10**12 + i for i in range(3)]
    before = [sys.getrefcount(slot) for slot in slots]

    def give():
        for slot in slots:
            port.wait_for_demand()
            port.put(slot, b"text")
        port.wait_for_demand()
        port.put_end()

    giver = threading.Thread(target=give, daemon=True)
    giver.start()
    got = [int(slot) for slot, _ in port.items()]
    giver.join()
    assert got == slots
    del give, giver, got
    assert [sys.getrefcount(slot) for slot in slots] == before
