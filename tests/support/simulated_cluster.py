"""A cluster by a simulated clock: the real feeder and ledger, no waiting.

    cluster = SimulatedCluster(plan, secs_of, num_workers=4, take_secs=0.001)
    cluster.run()  # when the last item is completed

Items are taken as `core.consumer` does it: reports gather before the chief
reads them, what is completed is told with the next question, and a consumer
that is held back asks again later and later. A job takes 0.1 s, however long.
"""

from __future__ import annotations

import collections
import heapq
import itertools

from wq_hooks.core.chief import feeder as feeder_module
from wq_hooks.core.chief.chief import Chief
from wq_hooks.core.chief.feeder import Feeder
from wq_hooks.core.consumer import consumer as consumer_module
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.messages import Claim, Report


class SimulatedCluster:
    """A chief's feeder, and workers of given speeds.

    Args:
      plan: What is handed out.
      secs_of: Returns how long a worker takes for an item, of (its number, the
        item's text, when it begins).
      num_workers: How many workers there are.
      take_secs: How long a take lasts.
      **kwargs: Arguments for the Ledger.
    """

    def __init__(
        self,
        plan,
        secs_of,
        *,
        num_workers,
        take_secs=0.0,
        **kwargs,
    ):
        self.now = 0.0
        self.ledger = Ledger(plan, **kwargs)
        self.workers = [_Worker(self, i, take_secs) for i in range(num_workers)]
        self.secs_of = secs_of
        self.board = {}
        self.work = collections.deque()
        self.waiting = collections.deque()
        self.last_end = 0.0
        self._reports = []
        self._drains_from = 0.0
        self._is_draining = False
        self._events = []
        self._order = itertools.count()
        chief = Chief("q", self.ledger, clock=lambda: self.now)
        self.feeder = Feeder(chief, self, clock=lambda: self.now)

    def run(self):
        """Returns when the last item is completed, in seconds."""
        self._tick()
        for worker in self.workers:
            self.at(0.0, worker.ask)
        while not self.ledger.is_done:
            assert self._events, "the job is stuck"
            self.now, _, function = heapq.heappop(self._events)
            assert self.now < 1e4, "the job does not end"
            function()
        return self.last_end

    def at(self, time, function):
        """Lets a function be called later."""
        heapq.heappush(self._events, (time, next(self._order), function))

    def _tick(self):
        self.feeder.feed()
        self.at(self.now + feeder_module._TICK_SECS, self._tick)

    def report(self, kind, sender, *claims):
        """Puts a report into its mailbox."""
        self._reports.append(Report(kind, sender, claims).to_text().encode())
        if not self._is_draining:
            self._is_draining = True
            self.at(max(self.now, self._drains_from), self._drain)

    def _drain(self):
        rows, self._reports = self._reports, []
        self._is_draining = False
        waited_secs = max(0.0, self.now - self._drains_from)
        self.feeder.apply(rows, waited_secs=waited_secs)
        self._drains_from = self.now + self.feeder.gather_secs()
        if self.feeder.has_to_feed():
            self.feeder.feed()

    # The transport.

    def deliver(self, elements, board):
        """See `wq_hooks.core.protocol.transports.ChiefTransport`."""
        self.board.update(board)
        self.work.extend(elements)
        while self.waiting and self.work:
            self.waiting.popleft().get()

    def look_up(self, *keys):
        """See `wq_hooks.core.protocol.transports.ChiefTransport`."""
        return [self.board.get(key, "") for key in keys]

    def num_work(self):
        """See `wq_hooks.core.protocol.transports.ChiefTransport`."""
        return len(self.work)

    def num_reports(self):
        """See `wq_hooks.core.protocol.transports.ChiefTransport`."""
        return len(self._reports)

    def write_position(self, position):
        """See `wq_hooks.core.protocol.transports.ChiefTransport`."""


class _Worker:
    def __init__(self, cluster, number, take_secs):
        self.number = number
        self.consumer = Consumer(f"worker:{number}", "1")
        self._cluster = cluster
        self._take_secs = take_secs
        self._pause_secs = consumer_module._MIN_PAUSE_SECS
        self._holds = None
        self._completed = []
        self._gate = messages.gate_of(self.consumer.name)

    def ask(self):
        """Asks the chief's mailbox, and waits for an item."""
        cluster = self._cluster
        if self._holds:
            self._completed.append(self._holds)
            self._holds = None
        cluster.report(messages.ASK, self.consumer, *self._completed)
        self._completed = []
        held_back_in, generation = cluster.look_up(self._gate, messages.ITEM)
        if held_back_in == generation:
            cluster.at(cluster.now + self._pause_secs, self.ask)
            self._pause_secs = min(
                2 * self._pause_secs, consumer_module._MAX_PAUSE_SECS
            )
            return
        self._pause_secs = consumer_module._MIN_PAUSE_SECS
        cluster.waiting.append(self)
        cluster.deliver([], {})

    def get(self):
        """Gets what it has waited for."""
        cluster = self._cluster
        slot, token, ticket, text = cluster.work.popleft()
        if slot == messages.END:
            cluster.work.append((slot, token, ticket, text))
            return
        claim = Claim(token, int(ticket))
        cluster.report(messages.LEASE, self.consumer, claim)
        self._begin(claim, text)

    def _begin(self, claim, text):
        cluster = self._cluster
        if self._holds:
            self._completed.append(self._holds)
        self._holds = claim
        begin = cluster.now + self._take_secs
        end = begin + cluster.secs_of(self.number, text.decode(), begin)
        cluster.last_end = max(cluster.last_end, end)
        cluster.at(end, self.ask)
