from __future__ import annotations

import collections
import dataclasses
import json
import queue
import threading
from random import Random

import pytest

from wq_hooks.core.chief import board_writer, flow_control
from wq_hooks.core.chief import feeder as feeder_module
from wq_hooks.core.chief.chief import Chief
from wq_hooks.core.chief.feeder import Feeder
from wq_hooks.core.items.plan import Plan
from wq_hooks.core.items.works import Works
from wq_hooks.core.ledger import item_account
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.monitoring.progress import ProgressMeter
from wq_hooks.core.position.resume import resume
from wq_hooks.core.position.snapshot import Snapshot
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.format import format_text
from wq_hooks.core.protocol.messages import Claim, Report
from wq_hooks.errors import TwoChiefsError

A = Consumer("worker:0", "a1")
B = Consumer("worker:1", "b1")
CHIEF = Consumer("chief:0", "c1")
DEPTH = flow_control._MIN_DEPTH
TICK = feeder_module._TICK_SECS
PERIOD = feeder_module._POSITION_EVERY_SECS
GRACE = item_account.MISSING_GRACE_SECS
HANG_SECS = 30.0

Element = collections.namedtuple("Element", "is_fresh slot token ticket text")


class Clock:
    """Time stands still unless it is moved, or moves at every look."""

    def __init__(self):
        self.now = 1000.0
        self.step = 0.0

    def __call__(self):
        self.now += self.step
        return self.now


class FakeMailbox:
    """What the parameter server holds, and what its graph steps do."""

    def __init__(self):
        self.work = collections.deque()
        self.reports = queue.Queue()
        self.board = {}
        self.positions = []
        self.num_deliveries = 0
        self.most_work = 0

    # The chief's side.

    def receive(self):
        rows = [self.reports.get(timeout=HANG_SECS)]
        while not self.reports.empty():
            rows.append(self.reports.get_nowait())
        return rows

    def generation_of_reports(self):
        return self.board.get(messages.ITEM, "")

    def give_back(self, rows):
        for row in rows:
            self.reports.put(row)

    def deliver(self, elements, board):
        self.num_deliveries += 1
        fence = board.get(messages.FENCE)
        if fence not in (None, self.board.get(messages.ITEM, fence)):
            return
        self.board.update(board)
        self.work.extend(elements)
        self.most_work = max(self.most_work, len(self.work))

    def look_up(self, *keys):
        return [self.board.get(key, "") for key in keys]

    def num_work(self):
        return len(self.work)

    def num_reports(self):
        return self.reports.qsize()

    def mark(self, number):
        # Reports are applied by hand here, in the step that receives them.
        if not self.num_reports():
            return False
        wake = dataclasses.replace(messages.WAKE_UP, mark=number)
        self.reports.put(wake.to_text().encode())
        return True

    def write_position(self, position):
        self.positions.append(position)

    # A consumer's side.

    def report(self, kind, consumer, *claims, records=0):
        report = Report(kind, consumer, claims, records=records)
        self.reports.put(report.to_text().encode())

    def take(self, consumer, *completed):
        """One step; None where a real one would wait."""
        self.report(messages.ASK, consumer, *completed)
        held_back_in, generation = self.look_up(
            messages.gate_of(consumer.name), messages.ITEM
        )
        if not self.work or (generation and held_back_in == generation):
            return None
        slot, token, ticket, text = self.work.popleft()
        is_fresh = self.look_up(slot) == [token]
        if is_fresh and slot == messages.ITEM:
            self.report(messages.LEASE, consumer, Claim(token, int(ticket)))
        if is_fresh and slot == messages.END:
            self.work.append((slot, token, ticket, text))
        return Element(is_fresh, slot, token, int(ticket), text)

    def lose(self):
        """A step that is aborted after it took an element."""
        return self.work.popleft()


class Job:
    """A feeder over a mailbox, with the threads' work done by hand."""

    def __init__(
        self,
        works="abcd",
        *,
        mailbox=None,
        ledger=None,
        clock=None,
        name="chief:0",
        **kwargs,
    ):
        self.mailbox = mailbox or FakeMailbox()
        self.clock = clock or Clock()
        if ledger is None:
            num_epochs = kwargs.pop("num_epochs", 1)
            plan = Plan.fresh(
                Works(list(works)),
                num_epochs=num_epochs,
                shuffle=False,
                seed=0,
            )
            ledger = Ledger(plan, **kwargs)
        self.ledger = ledger
        chief = Chief("q", ledger, clock=self.clock)
        self.feeder = Feeder(chief, self.mailbox, who=name, clock=self.clock)

    def run(self, secs=0.0):
        """Lets time pass, then drains and feeds until nothing changes."""
        self.clock.now += secs
        self.drain()
        self.feeder.feed()
        self.drain()

    def drain(self):
        if self.mailbox.num_reports():
            self.feeder.apply(self.mailbox.receive())

    def take(self, consumer, *completed):
        """Takes until something fresh comes; None if the mailbox is empty."""
        while True:
            element = self.mailbox.take(consumer, *completed)
            self.run()
            if element is None or element.is_fresh:
                return element
            completed = ()

    def take_item(self, consumer, *completed):
        element = self.take(consumer, *completed)
        assert element.slot == messages.ITEM
        return Claim(element.token, element.ticket)

    def take_end(self, consumer, *completed):
        element = self.take(consumer, *completed)
        return element is not None and element.slot == messages.END


def texts(elements):
    return b"".join(element[3] for element in elements).decode()


class Thread:
    """Runs a function in a thread; hands its result or error over."""

    def __init__(self, function):
        self._outcome = queue.Queue()
        self._thread = threading.Thread(
            target=self._run, args=(function,), daemon=True
        )
        self._thread.start()

    def _run(self, function):
        try:
            self._outcome.put((function(), None))
        except Exception as e:
            self._outcome.put((None, e))

    @property
    def is_running(self):
        return self._outcome.empty()

    def result(self):
        value, error = self._outcome.get(timeout=HANG_SECS)
        self._thread.join(HANG_SECS)
        if error is not None:
            raise error
        return value


class TestFeeding:
    def test_items_go_into_the_mailbox_in_order(self):
        chief = Job("abcd", num_epochs=2)
        chief.run()
        assert texts(chief.mailbox.work) == "abcdabcd"
        generation = chief.feeder.chief.generation
        assert list(chief.mailbox.work)[5] == (
            messages.ITEM,
            generation,
            "5",
            b"b",
        )

    def test_no_more_than_its_depth_waits_in_the_mailbox(self):
        chief = Job("a" * 200)
        chief.run()
        assert len(chief.mailbox.work) == DEPTH
        taken = 0
        while chief.take(A).slot == messages.ITEM:
            taken += 1
        assert taken == 200
        assert chief.mailbox.most_work == DEPTH

    def test_the_depth_grows_with_the_consumers(self):
        chief = Job("a" * 200)
        num_consumers = 3 * DEPTH
        for number in range(num_consumers):
            consumer = Consumer(f"worker:{number}", "1")
            chief.mailbox.report(messages.ASK, consumer)
        chief.run()
        assert len(chief.mailbox.work) == 2 * num_consumers

    def test_refills_before_the_mailbox_is_empty_and_not_for_each_item(self):
        chief = Job("a" * 1000)
        chief.run()
        least = DEPTH
        before = chief.mailbox.num_deliveries
        for _ in range(160):
            chief.take(A)
            least = min(least, len(chief.mailbox.work))
        assert least >= DEPTH // 2
        assert chief.mailbox.num_deliveries - before <= 160 / (DEPTH // 2)

    def test_bytes_that_are_no_utf_8_arrive_as_they_are(self):
        plan = Plan.fresh(
            Works([b"\xff\xfe"]), num_epochs=1, shuffle=False, seed=0
        )
        chief = Job(ledger=Ledger(plan))
        chief.run()
        assert chief.mailbox.work[0][3] == b"\xff\xfe"

    def test_an_item_that_is_handed_back_comes_before_those_to_come(self):
        chief = Job("a" + "b" * 99)
        chief.run()
        chief.take_item(A)
        chief.mailbox.report(messages.LEAVE, A)
        chief.run()
        while len(chief.mailbox.work) < DEPTH:
            chief.take_item(B)
        assert "a" in texts(chief.mailbox.work)

    def test_an_item_that_was_taken_and_never_reported_comes_back(self):
        chief = Job("abc")
        chief.run()
        assert chief.mailbox.lose()[3] == b"a"
        chief.run(TICK)
        chief.run(GRACE)
        chief.run(TICK)
        assert texts(chief.mailbox.work) == "bca"

    def test_reports_that_wait_are_no_missing_items(self):
        chief = Job("abc")
        chief.run()
        chief.mailbox.take(A)
        for _ in range(20):
            chief.clock.now += GRACE
            chief.feeder.feed()
        chief.drain()
        assert chief.ledger.in_flight == 1
        assert texts(chief.mailbox.work) == "bc"


class TestBoard:
    def test_tells_generation_level_remaining_and_works(self):
        chief = Job("abcd", num_epochs=2)
        chief.run()
        works = chief.ledger.plan.works
        board = dict(chief.mailbox.board)
        assert json.loads(board.pop(messages.STATUS))["remaining"] == 8
        assert board == {
            messages.ITEM: chief.feeder.chief.generation,
            messages.END: "",
            messages.REMAINING: "8",
            messages.LEVEL: "2.0",
            messages.WORKS: f"4 {works.fingerprint}",
            messages.FORMAT: format_text(),
            messages.CHIEF: "chief:0",
            messages.BEAT: "1",
            messages.LEFT: "",
        }

    def test_follows_the_ledger_but_is_not_written_for_every_item(self):
        chief = Job("abcdefgh")
        chief.run()
        before = chief.mailbox.num_deliveries
        for _ in range(4):
            chief.take_item(A)
        chief.feeder.feed()
        assert chief.mailbox.num_deliveries == before
        chief.run(1.0)
        assert chief.mailbox.board[messages.REMAINING] == "4"
        assert chief.mailbox.board[messages.LEVEL] == "0.5"

    def test_is_left_alone_when_nothing_changes(self, monkeypatch):
        # But for what says that the chief is there.
        monkeypatch.setattr(board_writer, "pause_secs", lambda _: 1e9)
        monkeypatch.setattr(messages, "BEAT_SECS", 1e9)
        chief = Job("abcd")
        chief.run(1.0)
        before = chief.mailbox.num_deliveries
        for _ in range(10):
            chief.run(10.0)
        assert chief.mailbox.num_deliveries == before

    def test_shuts_the_gate_of_a_consumer_that_would_only_delay_the_end(self):
        chief = Job("abcdef")
        chief.run()
        slow = chief.take_item(A)
        for _ in range(3):
            claim = chief.take_item(B)
            chief.clock.now += 1.0
            chief.mailbox.report(messages.ACK, B, claim)
            chief.run()
        chief.clock.now += 5.0
        fifth = chief.take_item(B)
        # It needs 8 s for an item; B, which needs 1 s, can do the last one.
        assert chief.take(A, slow) is None
        assert texts(chief.mailbox.work) == "f"
        chief.clock.now += 1.0
        sixth = chief.take_item(B, fifth)
        assert chief.take_end(A)
        assert chief.take_end(B, sixth)
        assert chief.ledger.is_done

    def test_a_gate_is_shut_and_opened_at_once(self):
        chief = Job("abcdef")
        chief.run()
        held_back = {"worker:0"}
        chief.ledger.held_back = lambda now: frozenset(held_back)
        chief.take_item(B)
        gate = messages.gate_of("worker:0")
        assert chief.mailbox.board[gate] == chief.feeder.chief.generation
        num_work = len(chief.mailbox.work)
        assert chief.mailbox.take(A) is None
        assert len(chief.mailbox.work) == num_work
        # What a consumer that is held back says is heard all the same.
        chief.run()
        assert chief.ledger.consumers["worker:0"].asking_since is not None
        held_back.clear()
        chief.run()
        assert chief.mailbox.board[gate] == ""
        assert chief.take_item(A).ticket == 1

    def test_gates_are_open_when_the_chief_has_ended(self):
        chief = Job(["a", "b"])
        chief.ledger.held_back = lambda now: frozenset({"worker:0"})
        chief.feeder.feed()

        chief.feeder.stop(ends_job=True)

        # Or who has come late would ask for ever.
        assert chief.mailbox.board[messages.gate_of("worker:0")] == ""

    def test_a_gate_that_an_earlier_life_has_shut_is_open(self):
        first = Job("abcdef")
        first.run()
        first.ledger.held_back = lambda now: frozenset({"worker:0"})
        first.take_item(B)
        second = Job("abcdef", mailbox=first.mailbox)
        second.run()
        assert second.take_item(A).ticket == 0

    def test_without_end_minus_one_remains(self):
        chief = Job("ab", num_epochs=None)
        chief.run()
        assert chief.mailbox.board[messages.REMAINING] == "-1"


class TestEnd:
    def test_comes_when_nothing_remains_to_be_handed_out(self):
        chief = Job("ab")
        chief.run()
        chief.take_item(A)
        assert chief.mailbox.board[messages.END] == ""
        chief.take_item(B)
        # Items are still in flight, and yet there is nothing to ask for.
        (element,) = chief.mailbox.work
        token = chief.mailbox.board[messages.END]
        assert token
        assert element == (messages.END, token, "-1", b"")

    def test_comes_and_goes_without_waiting_for_the_next_tick(self):
        chief = Job("a")
        chief.run()
        assert not chief.feeder.has_to_feed()
        chief.mailbox.take(A)
        chief.drain()
        assert chief.feeder.has_to_feed()
        chief.feeder.feed()
        assert not chief.feeder.has_to_feed()
        chief.mailbox.report(messages.LEAVE, A)
        chief.drain()
        assert chief.feeder.has_to_feed()

    def test_everybody_gets_it_and_again_on_every_later_take(self):
        chief = Job("a")
        chief.run()
        claim = chief.take_item(A)
        assert all(chief.take_end(B) for _ in range(3))
        assert chief.take_end(A, claim)
        assert chief.ledger.is_done
        assert all(chief.take_end(A) for _ in range(3))

    def test_is_withdrawn_when_an_item_is_handed_back(self):
        chief = Job("ab")
        chief.run()
        chief.take_item(A)
        claim = chief.take_item(B)
        assert chief.take_end(B, claim)
        chief.mailbox.report(messages.LEAVE, A)
        chief.run()
        assert chief.mailbox.board[messages.END] == ""
        # The old element is left over, and recognised.
        assert not chief.mailbox.take(CHIEF).is_fresh
        element = chief.mailbox.take(CHIEF)
        assert (element.is_fresh, element.text) == (True, b"a")

    def test_comes_again_after_the_item_that_was_handed_back(self):
        chief = Job("a")
        chief.run()
        chief.take_item(A)
        first = chief.mailbox.board[messages.END]
        chief.mailbox.report(messages.LEAVE, A)
        chief.run()
        claim = chief.take_item(CHIEF)
        second = chief.mailbox.board[messages.END]
        assert second not in ("", first)
        assert chief.take_end(CHIEF, claim)
        assert chief.ledger.is_done

    def test_is_replaced_when_a_taker_dies_with_it_in_its_hands(self):
        chief = Job("a")
        chief.run()
        claim = chief.take_item(A)
        assert chief.mailbox.lose()[0] == messages.END
        assert chief.take(A, claim) is None
        chief.run(TICK)
        assert chief.take_end(A)

    def test_at_once_if_everything_was_completed_before(self):
        plan = Plan.fresh(Works(["a"]), num_epochs=1, shuffle=False, seed=0)
        first = Ledger(plan)
        first.issue(1, 0.0)
        first.acknowledge(A, 0, 0.0)
        resumption = resume(
            plan.works,
            first.snapshot("q"),
            num_epochs=1,
            shuffle=False,
            seed=None,
        )
        chief = Job(ledger=Ledger(resumption.plan, resumption=resumption))
        chief.run()
        assert chief.take_end(A)

    def test_with_backup_tasks_comes_when_everything_is_completed(self):
        chief = Job("abc", backup_tasks=True)
        chief.run()
        for _ in range(2):
            claim = chief.take_item(B)
            chief.clock.now += 1.0
            chief.mailbox.report(messages.ACK, B, claim)
            chief.run()
        chief.take_item(A)
        assert chief.take(B) is None
        chief.run(10.0)
        second = chief.take_item(B)
        assert second.ticket == 2
        assert chief.take(B, second) is None
        assert chief.take_end(B)
        assert chief.ledger.is_done

    def test_never_comes_without_end(self):
        chief = Job("a", num_epochs=None)
        chief.run()
        claims = [chief.take_item(A) for _ in range(100)]
        assert [claim.ticket for claim in claims] == list(range(100))

    def test_a_chief_that_ends_the_job_gives_it_to_all(self):
        chief = Job("a" * 100)
        chief.run()
        chief.feeder.stop(ends_job=True)
        for _ in range(DEPTH):
            chief.mailbox.take(A)
        assert chief.mailbox.take(A).slot == messages.END
        assert chief.mailbox.take(B).slot == messages.END

    def test_a_chief_that_ends_the_job_twice_gives_it_once(self):
        chief = Job("a")
        chief.run()
        chief.take_item(A)
        chief.feeder.stop(ends_job=True)
        chief.feeder.stop(ends_job=True)
        assert len(chief.mailbox.work) == 1

    def test_a_chief_that_fails_leaves_them_waiting(self):
        chief = Job("ab")
        chief.feeder.stop(ends_job=False)
        assert not chief.mailbox.work


class TestReports:
    def test_a_take_is_a_lease_and_acknowledges_the_one_before(self):
        chief = Job("abc")
        chief.run()
        first = chief.take_item(A)
        assert chief.ledger.leases[first.ticket].consumer == A
        chief.take_item(A, first)
        assert chief.ledger.in_flight == 1
        assert chief.ledger.completed == 1

    def test_acknowledgements_by_themselves(self):
        chief = Job("abc")
        chief.run()
        claims = [chief.take_item(A), chief.take_item(A)]
        chief.mailbox.report(messages.ACK, A, *claims)
        chief.run()
        assert chief.ledger.completed == 2

    def test_a_consumer_that_leaves_says_what_it_has_completed(self):
        chief = Job("abc")
        chief.run()
        first, _ = chief.take_item(A), chief.take_item(A)
        chief.mailbox.report(messages.LEAVE, A, first)
        chief.run()
        assert (chief.ledger.completed, chief.ledger.in_flight) == (1, 0)

    def test_a_consumer_says_that_it_has_met_the_end_of_data(self):
        chief = Job("a")
        chief.run()
        claim = chief.take_item(A)
        chief.mailbox.report(messages.ENDED, A)
        chief.run()
        # Its reader is still at the item.
        assert chief.ledger.consumers[A.name].has_ended
        assert chief.ledger.in_flight == 1
        chief.mailbox.report(messages.ACK, A, claim)
        chief.run()
        assert chief.ledger.is_done

    @pytest.mark.parametrize(
        "kind", [messages.ASK, messages.ACK, messages.LEASE, messages.LEAVE]
    )
    def test_what_is_of_an_earlier_life_of_the_chief_is_dropped(self, kind):
        chief = Job("abc")
        chief.run()
        chief.take_item(A)
        chief.mailbox.report(kind, B, Claim("earlier", 0), Claim("earlier", 1))
        chief.run()
        assert chief.ledger.completed == 0
        assert set(chief.ledger.leases) == {0}
        assert chief.ledger.repeated == 0

    def test_generations_may_be_mixed_in_one_report(self):
        chief = Job("abc")
        chief.run()
        first, second = chief.take_item(A), chief.take_item(A)
        earlier = Claim("earlier", second.ticket)
        chief.mailbox.report(messages.ACK, A, earlier, first)
        chief.run()
        assert chief.ledger.completed == 1
        assert set(chief.ledger.leases) == {second.ticket}

    def test_two_lives_have_two_generations(self):
        assert Job().feeder.chief.generation != Job().feeder.chief.generation

    def test_a_heartbeat_keeps_all_leases_of_a_task(self):
        chief = Job("abc", lease_secs=10.0)
        chief.run()
        chief.take_item(A)
        chief.take_item(Consumer("worker:0/2", "a1"))
        chief.take_item(B)
        chief.clock.now += 8.0
        chief.mailbox.report(messages.ALIVE, A)
        chief.run()
        chief.run(8.0)
        assert chief.ledger.in_flight == 2
        assert chief.ledger.end_policy.num_held_by_others("worker:0") == 0

    def test_silence_costs_the_lease(self):
        chief = Job("ab", lease_secs=10.0)
        chief.run()
        chief.take_item(A)
        chief.run(10.5)
        assert chief.ledger.in_flight == 0
        assert texts(chief.mailbox.work) == "ba"

    def test_a_wake_changes_nothing(self):
        chief = Job("ab")
        chief.mailbox.report(messages.WAKE, Consumer("", ""))
        chief.run()
        assert chief.ledger.consumers == {}

    def test_a_lost_consumer_is_told_by_name(self, caplog):
        chief = Job("ab", lease_secs=10.0)
        chief.run()
        chief.take_item(A)
        with caplog.at_level("WARNING"):
            chief.run(11.0)
        assert "worker:0 was lost" in caplog.text

    def test_an_item_that_is_given_up_is_told_by_name(self, caplog):
        chief = Job(["poison", "b"], lease_secs=10.0, max_attempts=1)
        chief.run()
        chief.take_item(A)
        with caplog.at_level("WARNING"):
            chief.run(11.0)
        assert "gave up poison" in caplog.text


class TestWithdrawn:
    """The chief was told to go, and hands out no more."""

    def job(self):
        job = Job("ab")
        job.run()
        job.feeder.withdraw()
        job.run()
        assert job.mailbox.board[messages.ITEM] == messages.NOBODY
        return job

    def test_it_saves(self):
        job = self.job()
        with job.feeder.freeze_position():
            pass
        assert job.mailbox.positions

    def test_it_says_how_it_has_left(self):
        job = self.job()
        job.feeder.stop(ends_job=False, left="left")
        assert job.mailbox.board[messages.LEFT] == "left"
        assert job.mailbox.board[messages.CHIEF] == ""

    def test_a_successor_is_left_alone(self):
        job = self.job()
        Job("ab", mailbox=job.mailbox).run()
        board = dict(job.mailbox.board)
        job.feeder.stop(ends_job=False, left="left")
        assert job.mailbox.board == board
        with pytest.raises(TwoChiefsError), job.feeder.freeze_position():
            pytest.fail("it saves")


class TestTwoChiefs:
    def test_the_one_that_was_first_fails(self):
        first = Job("ab")
        first.run()
        second = Job("ab", mailbox=first.mailbox)
        second.run()
        with pytest.raises(TwoChiefsError, match=r"only chief .* 'q'"):
            first.run(TICK)
        second.run(TICK)
        second.run(TICK)

    def test_the_one_that_was_stopped_writes_nothing(self):
        """Not even what it was about to write when it was stopped."""
        first = Job("ab")
        first.run()
        second = Job("cd", mailbox=first.mailbox)
        second.run()
        board, work = dict(first.mailbox.board), list(first.mailbox.work)
        first.feeder._deliver([("element",)], {messages.END: "token"})
        assert first.mailbox.board == board
        assert list(first.mailbox.work) == work

    def test_the_one_that_was_stopped_saves_nothing(self):
        first = Job("ab")
        first.run()
        second = Job("cd", mailbox=first.mailbox)
        second.run()
        with (
            pytest.raises(TwoChiefsError),
            first.feeder.freeze_position(),
        ):
            pytest.fail("it saves")

    def test_reports_for_the_other_one_are_given_back(self):
        first = Job("ab")
        first.run()
        second = Job("ab", mailbox=first.mailbox)
        second.run()
        first.mailbox.report(messages.ASK, A)
        with pytest.raises(TwoChiefsError):
            first.feeder.drain_forever()
        assert second.mailbox.num_reports() == 1
        second.run()
        assert A.name in second.ledger.consumers

    def test_an_earlier_start_of_the_chief_is_heard_no_more(self):
        chief = Job("ab")
        chief.ledger.membership.own_task = CHIEF
        chief.run()
        zombie = Consumer(CHIEF.name, "c0")
        # What it has taken while it was stopped goes back at once.
        chief.take_item(zombie)
        chief.run()
        assert chief.ledger.in_flight == 0
        chief.take_item(CHIEF)
        chief.mailbox.report(messages.ALIVE, zombie)
        chief.run()
        assert chief.ledger.consumers[CHIEF.name].consumer == CHIEF
        assert chief.ledger.in_flight == 1

    def test_a_chief_that_restarts_is_no_second_one(self):
        first = Job("ab")
        first.run()
        first.feeder.stop(ends_job=False)
        second = Job("ab", mailbox=first.mailbox)
        for _ in range(5):
            second.run(TICK)

    def test_a_parameter_server_that_forgot_the_board_is_none_either(self):
        chief = Job("ab")
        chief.run()
        chief.mailbox.board.clear()
        chief.run(TICK)


class TestRestart:
    def restarted(self, chief):
        """The chief after a crash, from the position it has written last."""
        resumption = resume(
            chief.ledger.plan.works,
            Snapshot.from_json(chief.mailbox.positions[-1]),
            num_epochs=1,
            shuffle=False,
            seed=None,
        )
        return Job(
            mailbox=chief.mailbox,
            clock=chief.clock,
            ledger=Ledger(resumption.plan, resumption=resumption),
        )

    def test_what_is_left_over_is_recognised_and_dropped(self):
        chief = Job("abcd")
        chief.run()
        first = chief.take_item(A)
        second = chief.take_item(A, first)
        with chief.feeder.freeze_position():
            pass
        third = chief.take_item(A, second)
        # The crash. The mailbox holds d, and soon acknowledgements.
        chief.mailbox.report(messages.ACK, A, third)
        again = self.restarted(chief)
        again.run()
        assert again.ledger.completed == 1
        assert texts(again.mailbox.work) == "d" + "bcd"
        rest = [again.take(B).text for _ in range(3)]
        assert rest == [b"b", b"c", b"d"]
        assert again.take_end(B)

    def test_the_end_of_the_earlier_life_does_not_count(self):
        chief = Job("ab")
        chief.run()
        with chief.feeder.freeze_position():
            pass
        chief.take_item(A)
        chief.take_item(A)
        assert chief.mailbox.board[messages.END]
        again = self.restarted(chief)
        again.run()
        assert again.mailbox.board[messages.END] == ""
        assert [again.take(B).text for _ in range(2)] == [b"a", b"b"]


class TestPosition:
    def completed(self, chief):
        return [
            Snapshot.from_json(position).completed
            for position in chief.mailbox.positions
        ]

    def train(self, chief):
        chief.mailbox.report(messages.ACK, A, chief.take_item(A))
        chief.drain()

    def test_the_position_written_is_one_period_old(self):
        chief = Job("a" * 50)
        chief.run()
        assert self.completed(chief) == []
        for _ in range(4):
            self.train(chief)
            chief.run(PERIOD)
        # A period ago: when 0, 1, 2 and 3 items were completed.
        assert self.completed(chief) == [0, 1, 2, 3]

    def test_nothing_is_written_more_often_or_without_a_change(self):
        chief = Job("a" * 50)
        chief.run()
        for _ in range(10):
            chief.run(PERIOD / 20)
        assert self.completed(chief) == []
        for _ in range(10):
            chief.run(PERIOD)
        assert self.completed(chief) == [0]

    def test_a_save_gets_the_position_of_this_instant(self):
        chief = Job("a" * 50)
        chief.run()
        self.train(chief)
        self.train(chief)
        with chief.feeder.freeze_position():
            assert self.completed(chief) == [2]
        assert chief.feeder.chief.snapshot().completed == 2

    def test_during_a_save_the_position_stays_as_it_is(self):
        chief = Job("a" * 50)
        chief.run()
        self.train(chief)
        with chief.feeder.freeze_position():
            for _ in range(5):
                self.train(chief)
                chief.clock.now += PERIOD
                # The feeder is another thread.
                Thread(chief.feeder.feed).result()
            assert self.completed(chief) == [1]
        for _ in range(3):
            self.train(chief)
            chief.run(PERIOD)
        # Never back to what was before the save.
        assert self.completed(chief) == [1, 7, 8]

    def test_a_save_that_fails_lets_the_position_go(self):
        chief = Job("a" * 50)
        chief.run()
        with (
            pytest.raises(OSError, match="disk"),
            chief.feeder.freeze_position(),
        ):
            raise OSError("disk full")
        for _ in range(3):
            self.train(chief)
            chief.clock.now += PERIOD
            Thread(chief.feeder.feed).result()
        assert self.completed(chief)[-1] == 2

    def test_two_savers_at_once(self):
        chief = Job("a" * 50)
        chief.run()
        with chief.feeder.freeze_position():
            with chief.feeder.freeze_position():
                pass
            chief.clock.now += PERIOD
            Thread(chief.feeder.feed).result()
            assert self.completed(chief) == [0, 0]

    def test_a_save_waits_for_reports_that_are_on_their_way(self):
        chief = Job("a" * 50)
        chief.run()
        claim = chief.take_item(A)
        chief.mailbox.report(messages.ACK, A, claim)
        marked = threading.Event()
        mark = chief.mailbox.mark

        def mark_and_tell(number):
            try:
                return mark(number)
            finally:
                marked.set()

        chief.mailbox.mark = mark_and_tell

        def save():
            with chief.feeder.freeze_position(flush_secs=60.0):
                return self.completed(chief)

        saving = Thread(save)
        assert marked.wait(HANG_SECS)
        # The mailbox is empty, and what was in it is not known yet.
        rows = chief.mailbox.receive()
        assert saving.is_running
        chief.feeder.apply(rows)
        assert saving.result() == [1]

    def test_a_save_does_not_wait_for_ever(self):
        chief = Job("a" * 50)
        chief.run()
        chief.mailbox.report(messages.ACK, A, chief.take_item(A))
        chief.clock.step = 0.3
        with chief.feeder.freeze_position(flush_secs=1.0):
            assert self.completed(chief) == [0]

    def test_names_the_queue_and_where_the_works_are_kept(self):
        chief = Job()
        chief.feeder.chief.ledger.items.note_sidecars("/model")
        snapshot = chief.feeder.chief.snapshot()
        assert (snapshot.name, snapshot.sidecar_directory) == ("q", "/model")


class TestIsSomebodyAsking:
    def test_from_the_question_to_the_item(self):
        chief = Job("a")
        chief.run()
        assert not chief.feeder.chief.is_somebody_asking()
        chief.take_item(A)
        chief.run()
        assert not chief.feeder.chief.is_somebody_asking()
        chief.mailbox.report(messages.ASK, A)
        chief.run()
        assert chief.feeder.chief.is_somebody_asking()


class TestWaitForEnd:
    """The chief leaves last."""

    def waiting(self, chief, is_stopped=lambda: False):
        """Returns a thread that has begun to wait."""
        waits = threading.Event()

        def is_stopped_and_tell():
            waits.set()
            return is_stopped()

        thread = Thread(
            lambda: chief.feeder.chief.wait_for_end(
                "chief:0", is_stopped_and_tell
            )
        )
        assert waits.wait(HANG_SECS)
        return thread

    def test_is_the_end_when_nobody_holds_anything(self):
        chief = Job("a")
        chief.run()
        claim = chief.take_item(A)
        chief.mailbox.report(messages.ACK, A, claim)
        chief.run()
        assert chief.feeder.chief.wait_for_end("chief:0", lambda: False)

    def test_is_the_end_when_only_the_chief_itself_holds_something(self):
        chief = Job("ab")
        chief.run()
        chief.take_item(CHIEF)
        chief.take_item(Consumer("chief:0/2", "c1"))
        assert chief.feeder.chief.wait_for_end("chief:0", lambda: False)

    def test_asks_again_when_something_remains(self):
        chief = Job("ab")
        chief.run()
        assert not chief.feeder.chief.wait_for_end("chief:0", lambda: False)

    def test_waits_for_what_others_hold(self):
        chief = Job("a")
        chief.run()
        claim = chief.take_item(A)
        waiting = self.waiting(chief)
        assert waiting.is_running
        chief.mailbox.report(messages.ACK, A, claim)
        chief.run()
        assert waiting.result() is True

    def test_goes_back_to_work_when_it_is_handed_back(self):
        chief = Job("a", lease_secs=10.0)
        chief.run()
        chief.take_item(A)
        waiting = self.waiting(chief)
        chief.run(11.0)
        assert waiting.result() is False
        chief.run()
        claim = chief.take_item(CHIEF)
        assert chief.take_end(CHIEF, claim)
        assert chief.feeder.chief.wait_for_end("chief:0", lambda: False)

    def test_a_take_that_ends_after_its_consumer_has_left_does_not_block(self):
        chief = Job("a")
        chief.run()
        chief.mailbox.report(messages.ASK, A)
        chief.mailbox.report(messages.LEAVE, A)
        chief.mailbox.take(A)
        chief.run()
        assert not chief.feeder.chief.wait_for_end("chief:0", lambda: False)
        chief.run()
        chief.take_item(CHIEF)
        assert chief.feeder.chief.wait_for_end("chief:0", lambda: False)

    def test_gives_up_when_the_session_stops(self):
        chief = Job("a")
        chief.run()
        chief.take_item(A)
        stopped = threading.Event()
        waiting = self.waiting(chief, stopped.is_set)
        stopped.set()
        assert waiting.result() is True

    def test_gives_up_when_the_chief_stops(self):
        chief = Job("a")
        chief.run()
        chief.take_item(A)
        waiting = self.waiting(chief)
        chief.feeder.wake_to_stop()
        assert waiting.result() is True


class TestGather:
    """How long reports wait for each other."""

    def test_longer_from_time_to_time_where_items_go_slowly(self):
        chief = Job(map(str, range(200)))
        chief.run()
        gathers = []
        for _ in range(5):
            chief.take_item(A)
            gathers.append(chief.feeder.gather_secs())
        assert gathers == [0.04, 0.08, 0.16, 0.25, 0.25]

    def test_short_behind_a_silence(self):
        chief = Job(map(str, range(200)))
        chief.run()
        for _ in range(5):
            chief.take_item(A)
        chief.feeder.apply([], waited_secs=30.0)
        assert chief.feeder.gather_secs() == 0.02

    def test_short_near_the_end(self):
        chief = Job("abcd")
        chief.run()
        chief.take_item(A)
        assert 0 < chief.feeder.gather_secs() < 0.005

    def test_longer_near_the_end_where_many_may_ask(self):
        chief = Job(map(str, range(100)))
        for number in range(100):
            chief.mailbox.report(messages.ASK, Consumer(f"w{number}", "x"))
        chief.drain()
        assert chief.ledger.is_near_end
        assert chief.feeder.gather_secs() == 0.02

    def test_what_is_lost_is_looked_for_right_behind_a_drain(self):
        chief = Job(map(str, range(200)))
        chief.run()
        lost = chief.mailbox.lose()
        for _ in range(2 * int(GRACE)):
            # At no tick all is known that was reported.
            chief.clock.now += 2 * TICK
            chief.mailbox.report(messages.ALIVE, A)
            chief.feeder.feed()
            chief.drain()
            chief.clock.now += TICK / 2
            chief.mailbox.report(messages.ALIVE, A)
            chief.drain()
            if chief.feeder.has_to_feed():
                chief.feeder.feed()
        assert int(lost[2]) in {chief.take(A).ticket for _ in range(DEPTH)}


class TestThreads:
    def test_feed_and_drain_until_everything_is_done_and_stop(self):
        mailbox = FakeMailbox()
        plan = Plan.fresh(
            Works([f"w{i}" for i in range(300)]),
            num_epochs=1,
            shuffle=False,
            seed=0,
        )
        feeder = Feeder(Chief("q", Ledger(plan)), mailbox)
        arrived = threading.Condition()
        deliver = mailbox.deliver

        def deliver_and_tell(elements, board):
            with arrived:
                deliver(elements, board)
                arrived.notify_all()

        mailbox.deliver = deliver_and_tell
        feeding = Thread(feeder.feed_forever)
        draining = Thread(feeder.drain_forever)

        def consume(consumer):
            trained, completed = [], []
            while True:
                with arrived:
                    assert arrived.wait_for(lambda: mailbox.work, HANG_SECS)
                    element = mailbox.take(consumer, *completed)
                completed = []
                if element is None or not element.is_fresh:
                    continue
                if element.slot == messages.END:
                    return trained
                trained.append(element.text)
                completed = [Claim(element.token, element.ticket)]

        consumers = [
            Thread(lambda name=name: consume(Consumer(f"worker:{name}", "1")))
            for name in range(3)
        ]
        trained = [text for c in consumers for text in c.result()]
        assert sorted(trained) == sorted(f"w{i}".encode() for i in range(300))
        feeder.wake_to_stop()
        feeding.result()
        feeder.stop(ends_job=False)
        mailbox.report(messages.WAKE, Consumer("", ""))
        draining.result()
        assert feeder.chief.ledger.is_done
        assert feeder.chief.ledger.repeated == 0

    def test_an_error_of_the_transport_ends_the_thread(self):
        chief = Job("a")

        def deliver(elements, board):
            raise RuntimeError("session closed")

        chief.mailbox.deliver = deliver
        with pytest.raises(RuntimeError, match="session closed"):
            Thread(chief.feeder.feed_forever).result()


def test_progress_and_state_are_those_of_the_ledger():
    chief = Job("abcd")
    chief.run()
    chief.take_item(A)
    chief.clock.now += 2.0
    progress = chief.feeder.chief.progress(ProgressMeter())
    assert (progress.remaining, progress.in_flight) == (3, 1)
    assert progress.oldest_in_flight_secs == 2.0
    state = chief.feeder.chief.state()
    assert state["workers"][0]["items"][0]["text"] == "a"


class Worker:
    """A consumer of the simulation: trains one item, then asks again."""

    def __init__(self, name):
        self.name = name
        self.num_lives = 0
        self.start()

    def start(self):
        self.num_lives += 1
        self.consumer = Consumer(self.name, str(self.num_lives))
        self.holds = None
        self.has_ended = False


def simulate(seed):
    """Runs a job in which anything may happen until everything is done."""
    random = Random(seed)
    works = [f"w{i}" for i in range(random.randint(1, 30))]
    num_epochs = random.randint(1, 2)
    plan = Plan.fresh(
        Works(works), num_epochs=num_epochs, shuffle=False, seed=seed
    )
    chief = Job(ledger=Ledger(plan, lease_secs=10.0))
    mailbox, clock = chief.mailbox, chief.clock
    workers = [Worker(f"worker:{i}") for i in range(random.randint(1, 4))]
    trained = collections.Counter()
    saved = None

    def take(worker):
        completed = [] if worker.holds is None else [worker.holds]
        if worker.holds is not None:
            item = items[worker.holds]
            trained[item] += 1
            worker.holds = None
        element = mailbox.take(worker.consumer, *completed)
        if element is None or not element.is_fresh:
            return
        if element.slot == messages.END:
            worker.has_ended = True
            if worker.name != "chief:0":
                mailbox.report(messages.LEAVE, worker.consumer)
            return
        worker.holds = Claim(element.token, element.ticket)
        items[worker.holds] = (element.ticket, element.text)

    items = {}
    for _ in range(random.randint(10, 150)):
        chief.run(random.choice([0.0, 0.0, 0.1, 1.0, 3.0]))
        worker = random.choice(workers)
        dice = random.random()
        if dice < 0.80:
            take(worker)
        elif dice < 0.84:
            worker.start()
            mailbox.report(messages.ALIVE, worker.consumer)
        elif dice < 0.88 and mailbox.work:
            mailbox.lose()
        elif dice < 0.92:
            clock.now += 11.0
        elif dice < 0.96:
            with chief.feeder.freeze_position():
                saved = mailbox.positions[-1], trained.copy()
        elif dice < 0.98 and saved is not None:
            position, was_trained = saved
            trained = was_trained.copy()
            resumption = resume(
                plan.works,
                Snapshot.from_json(position),
                num_epochs=num_epochs,
                shuffle=False,
                seed=None,
            )
            ledger = Ledger(
                resumption.plan, resumption=resumption, lease_secs=10.0
            )
            chief = Job(mailbox=mailbox, clock=clock, ledger=ledger)
            # Sessions are made again together: none has ended.
            for each in workers:
                each.start()
    # From now on nothing happens but the chief itself, which leaves last.
    last = Worker("chief:0")
    while not last.has_ended:
        chief.run(1.0)
        take(last)
        if last.has_ended:
            chief.drain()
            others = chief.ledger.end_policy.num_held_by_others("chief:0")
            # Rather than to wait for the others, let time pass.
            last.has_ended = not others and chief.feeder.chief.wait_for_end(
                "chief:0", lambda: False
            )
    return chief, trained, [t.encode() for t in works * num_epochs]


@pytest.mark.parametrize("first_seed", range(0, 200, 50))
def test_any_job_ends_with_every_item_trained(first_seed):
    for seed in range(first_seed, first_seed + 50):
        chief, trained, expected = simulate(seed)
        assert chief.ledger.is_done, f"simulate({seed})"
        assert {(ticket, text) for ticket, text in enumerate(expected)} <= set(
            trained
        ), f"simulate({seed})"


def test_records_are_counted_from_any_report():
    chief = Job()
    chief.run()
    item = chief.take_item(A)
    chief.mailbox.report(messages.ALIVE, A, records=20)
    chief.mailbox.report(messages.ACK, A, item, records=20)
    chief.mailbox.report(messages.LEAVE, B, records=20)
    chief.run()
    assert chief.ledger.records == 60
    assert chief.ledger.consumers["worker:0"].records == 40
    assert chief.ledger.completed == 1


def test_the_status_is_told_from_time_to_time_and_at_the_end():
    chief = Job("abcd")
    chief.run()
    first = chief.mailbox.board[messages.STATUS]
    item = chief.take_item(A)
    chief.run()
    assert chief.mailbox.board[messages.STATUS] == first
    chief.run(2.0)
    state = json.loads(chief.mailbox.board[messages.STATUS])
    assert (state["name"], state["in_flight"]) == ("q", 1)
    assert state["workers"][0]["items"][0]["text"] == "a"
    chief.take_item(A, item)
    chief.feeder.stop(ends_job=True)
    state = json.loads(chief.mailbox.board[messages.STATUS])
    assert state["completed"] == 1


def test_who_is_lost_and_what_it_held_and_who_is_back(caplog):
    caplog.set_level("INFO", logger="absl")
    chief = Job("abcd", lease_secs=5.0)
    chief.run()
    chief.take_item(A)
    chief.run(6.0)
    assert (
        "Work queue q: worker:0 was lost; what it held goes to the others: a."
    ) in caplog.messages
    chief.take_item(Consumer("worker:0", "a2"))
    assert (
        "Work queue q: worker:0 is back, in its start number 2."
        in caplog.messages
    )
