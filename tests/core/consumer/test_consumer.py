from __future__ import annotations

import dataclasses
import queue
import threading

import pytest

from wq_hooks.core.consumer.acknowledgement import OnLastRecord, OnNext
from wq_hooks.core.consumer.consumer import ConsumerLoop, Given
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.messages import Claim, Element

CONSUMER = Consumer("worker:1", "5f2c")
SENDER = "worker:1 5f2c"
HANG_SECS = 30.0


def item(ticket):
    return Element(messages.ITEM, "gen", ticket, b"text-%d" % ticket)


def stale(ticket):
    return dataclasses.replace(item(ticket), is_fresh=False, token="earlier")


def claim(ticket):
    return Claim("gen", ticket)


END = Element(messages.END)
STALE_END = dataclasses.replace(END, is_fresh=False)


class FakePort:
    """A port whose demand and whose items the test sees."""

    def __init__(self, num_ahead=0):
        self.num_ahead = num_ahead
        self.num_demands = 0
        self._demand = queue.Queue()
        self._items = queue.Queue()

    def serve(self, consumer, completed):
        self._demand.get(timeout=HANG_SECS)
        return Given()

    def put(self, claim, text):
        self._items.put((claim, text))

    def close(self):
        self._items.put("closed")

    # The readers.

    def want(self):
        self.num_demands += 1
        self._demand.put(None)

    def get(self):
        return self._items.get(timeout=HANG_SECS)

    def read(self):
        self.want()
        claim, text = self.get()
        assert text == b"text-%d" % claim.ticket
        return claim.ticket

    def is_closed(self):
        self.want()
        return self.get() == "closed"


class FakeTransport:
    """Gives the elements in order; notes what comes with each question."""

    def __init__(self, elements, port):
        self._elements = iter(elements)
        self._port = port
        self.completed = []
        self.asked = queue.Queue()
        self.reports = queue.Queue()

    def take(self, consumer, completed):
        assert consumer == CONSUMER
        completed = messages.claims_text(completed)
        self.completed.append(completed)
        element = next(self._elements)
        if element is None:
            return None
        if element.is_fresh and element.slot == messages.ITEM:
            # Nothing is taken before a reader asks.
            assert element.ticket < self._port.num_demands
        self.asked.put(completed)
        return element

    def report(self, report, timeout_secs=0.0):
        self.reports.put(
            (
                report.kind,
                messages.sender_text(report.sender),
                messages.claims_text(report.claims),
            )
        )


class Running:
    """A ConsumerLoop with its threads."""

    def __init__(self, elements, *, num_ahead=0, port=None, **kwargs):
        self.port = port or FakePort(num_ahead)
        self.transport = FakeTransport(elements, self.port)
        self.loop = ConsumerLoop(CONSUMER, self.transport, self.port, **kwargs)
        self._errors = queue.Queue()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            self.loop.serve_forever()
        except Exception as e:
            self._errors.put(e)

    def join(self):
        self.thread.join(HANG_SECS)
        assert not self.thread.is_alive()
        self.check()

    def check(self):
        if not self._errors.empty():
            raise self._errors.get()


def items(num_items):
    return [*map(item, range(num_items)), END]


class TestOrder:
    def test_readers_get_the_items_in_order_and_then_the_end(self):
        running = Running(items(3))
        assert [running.port.read() for _ in range(3)] == [0, 1, 2]
        assert running.port.is_closed()
        running.join()
        assert running.loop.has_ended

    def test_no_items_at_all(self):
        running = Running([END])
        assert running.port.is_closed()
        running.join()
        assert running.transport.completed == [""]
        assert running.loop.claims_at_end() == []

    def test_what_is_left_over_from_an_earlier_life_is_dropped(self):
        running = Running(
            [stale(7), item(0), STALE_END, stale(8), item(1), STALE_END, END]
        )
        assert [running.port.read() for _ in range(2)] == [0, 1]
        assert running.port.is_closed()
        running.join()
        # Each acknowledgement travels once.
        assert running.transport.completed == (
            ["", "", "gen 0", "", "", "gen 1", ""]
        )

    def test_an_item_names_the_life_of_the_chief_that_it_is_of(self):
        running = Running([dataclasses.replace(item(0), token="other"), END])
        running.port.want()
        assert running.port.get() == (Claim("other", 0), b"text-0")


class TestAhead:
    def test_nothing_is_taken_before_a_reader_asks(self):
        # Checked at each take, by FakeTransport.
        running = Running(items(200))
        for ticket in range(200):
            assert running.port.read() == ticket
        assert len(running.transport.completed) == 200
        assert running.port.is_closed()
        running.join()


class TestAcknowledgements:
    def test_travel_with_the_question_for_the_next_item(self):
        running = Running(items(3))
        for _ in range(3):
            running.port.read()
        assert running.port.is_closed()
        running.join()
        assert running.transport.completed == ["", "gen 0", "gen 1", "gen 2"]
        # Since then the consumer takes no more.
        report = running.transport.reports.get(timeout=HANG_SECS)
        assert report == (messages.ENDED, SENDER, "")
        assert running.transport.reports.empty()
        assert running.loop.claims_at_end() == []

    def test_several_readers_hold_one_item_each(self):
        running = Running(items(5), rule=OnNext(3))
        for _ in range(5):
            running.port.read()
        assert running.port.is_closed()
        running.join()
        assert running.transport.completed == [
            "",
            "",
            "",
            "gen 0",
            "gen 1",
            "gen 2",
        ]
        assert running.loop.claims_at_end() == [claim(3), claim(4)]

    def test_what_is_drawn_from_a_producer_is_being_read(self):
        # The item is completed when the reader has drawn the next one.
        running = Running(items(4), num_ahead=1)
        for _ in range(4):
            running.port.read()
        assert running.port.is_closed()
        running.join()
        assert running.transport.completed == [
            "",
            "",
            "gen 0",
            "gen 1",
            "gen 2",
        ]
        assert running.loop.claims_at_end() == [claim(3)]

    def test_somebody_else_may_tell_what_is_completed(self):
        running = Running(items(3), rule=OnLastRecord(list))
        for _ in range(3):
            running.port.read()
        running.loop.acknowledge([claim(1), claim(0)])
        running.loop.acknowledge([])
        assert running.port.is_closed()
        running.join()
        assert set(running.transport.completed) == {""}
        report = running.transport.reports.get(timeout=HANG_SECS)
        assert report == (messages.ACK, SENDER, "gen 1 gen 0")
        report = running.transport.reports.get(timeout=HANG_SECS)
        assert report == (messages.ENDED, SENDER, "")
        assert running.transport.reports.empty()
        assert running.loop.claims_at_end() == []


class TestBarred:
    def test_a_consumer_that_is_to_take_no_more_asks_again_after_a_pause(self):
        pauses = queue.Queue()
        running = Running(
            [item(0), None, None, item(1), None, END],
            pause=pauses.put,
        )
        assert [running.port.read() for _ in range(2)] == [0, 1]
        assert running.port.is_closed()
        running.join()
        # Longer each time, and short again when it was let in.
        assert [pauses.get_nowait() for _ in range(3)] == [0.02, 0.04, 0.02]
        assert pauses.empty()
        # What it has completed was said with the first question.
        assert running.transport.completed == (
            ["", "gen 0", "", "", "gen 1", ""]
        )

    def test_one_that_does_not_pause_leaves(self):
        running = Running([item(0), None, item(1)], pause=None)
        assert running.port.read() == 0
        assert running.port.is_closed()
        running.join()
        assert running.transport.completed == ["", "gen 0"]
        assert running.loop.claims_at_end() == []


class TestEnd:
    def test_what_readers_hold_is_completed_after_the_end(self):
        running = Running(items(2), rule=OnNext(9))
        running.port.read()
        running.port.read()
        assert running.port.is_closed()
        running.join()
        assert running.loop.claims_at_end() == [claim(0), claim(1)]
        assert running.loop.claims_at_end() == []

    def test_what_readers_hold_is_unfinished_before_the_end(self):
        running = Running(items(5))
        running.port.read()
        running.port.read()
        assert running.loop.claims_at_end() == []
        assert not running.loop.has_ended

    def test_the_chief_asks_again_when_an_item_was_handed_back(self):
        answers = iter([False, True])
        running = Running(
            [item(0), END, STALE_END, item(1), END],
            is_end=lambda: next(answers),
        )
        assert [running.port.read() for _ in range(2)] == [0, 1]
        assert running.port.is_closed()
        running.join()
        # While it waits for the end it holds nothing unacknowledged.
        assert running.transport.completed == ["", "gen 0", "", "", "gen 1"]

    def test_is_not_asked_for_what_is_no_end(self):
        def is_end():
            raise AssertionError

        running = Running([stale(1), STALE_END, item(0), END], is_end=is_end)
        assert running.port.read() == 0

    def test_an_error_of_the_transport_ends_the_thread(self):
        running = Running([item(0)])
        running.port.read()
        running.port.want()
        running.thread.join(HANG_SECS)
        with pytest.raises(StopIteration):
            running.check()
        assert not running.loop.has_ended


class GivingPort(FakePort):
    """A port that takes by itself; None: it has found nothing."""

    def __init__(self, given):
        super().__init__()
        self._given = iter(given)
        self.completed = []

    def serve(self, consumer, completed):
        assert consumer == CONSUMER
        super().serve(consumer, completed)
        self.completed.append([c.ticket for c in completed])
        given = next(self._given)
        if given.claim is not None:
            self.put(given.claim, b"text-%d" % given.claim.ticket)
        return given


class TestGiven:
    """Where the port takes by itself, the loop accounts for it."""

    def loop(self, given, elements=(), **kwargs):
        self.port = GivingPort(given)
        return Running(elements, port=self.port, **kwargs)

    def test_an_item_is_completed_by_the_next_question(self):
        running = self.loop(
            [Given(True, claim(0)), Given(True, claim(1)), Given(True)], [END]
        )
        assert [self.port.read() for _ in range(2)] == [0, 1]
        assert self.port.is_closed()
        running.join()
        assert self.port.completed == [[], [0], [1]]
        # What the chief was told is not told again.
        assert running.transport.completed == [""]
        assert running.loop.claims_at_end() == []

    def test_who_was_not_told_is_told_with_the_question(self):
        running = self.loop(
            [Given(True, claim(0)), Given(False), Given(True, claim(2))],
            [item(1)],
        )
        assert [self.port.read() for _ in range(3)] == [0, 1, 2]
        assert self.port.completed == [[], [0], [1]]
        assert running.transport.completed == ["gen 0"]

    def test_several_readers_hold_one_item_each(self):
        running = self.loop(
            [Given(True, claim(ticket)) for ticket in range(4)], rule=OnNext(2)
        )
        assert [self.port.read() for _ in range(4)] == [0, 1, 2, 3]
        assert self.port.completed == [[], [], [0], [1]]
        running.check()
