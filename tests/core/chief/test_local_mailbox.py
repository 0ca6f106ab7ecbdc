from __future__ import annotations

from wq_hooks.core.chief.dispatcher import Dispatcher
from wq_hooks.core.chief.local_mailbox import LocalMailbox, NoTransport
from wq_hooks.core.consumer.consumer import ConsumerLoop
from wq_hooks.core.items.plan import Plan
from wq_hooks.core.items.works import Works
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.protocol import messages


class Readers:
    num_ahead = 0

    def wait_for_demand(self):
        """Whoever calls next_item asks."""


def new_dispatcher(num_works=4, **options):
    works = Works([f"f{i}" for i in range(num_works)])
    plan = Plan.fresh(works, num_epochs=1, shuffle=False, seed=0)
    return Dispatcher("queue", Ledger(plan, **options), NoTransport())


def new_loop(mailbox, name="local:0", **options):
    return ConsumerLoop(Consumer(name, "life"), mailbox, Readers(), **options)


def names(loop, number):
    return [loop.next_item()[1].decode() for _ in range(number)]


def test_items_come_in_order_and_then_the_end_each_time():
    dispatcher = new_dispatcher()
    loop = new_loop(LocalMailbox(lambda: dispatcher))

    assert names(loop, 4) == ["f0", "f1", "f2", "f3"]
    assert dispatcher.ledger.completed == 3
    assert loop.next_item() is None
    assert loop.next_item() is None
    assert loop.has_ended
    assert dispatcher.ledger.is_done


def test_two_consumers_share_the_items():
    dispatcher = new_dispatcher()
    mailbox = LocalMailbox(lambda: dispatcher)
    one, two = new_loop(mailbox), new_loop(mailbox, "local:0/2")

    assert names(one, 1) + names(two, 2) + names(one, 1) == [
        "f0",
        "f1",
        "f2",
        "f3",
    ]
    assert dispatcher.ledger.in_flight == 2


def test_what_is_handed_back_comes_first():
    dispatcher = new_dispatcher()
    loop = new_loop(LocalMailbox(lambda: dispatcher), num_clients=2)

    assert names(loop, 3) == ["f0", "f1", "f2"]
    loop.hand_back()

    assert dispatcher.ledger.completed == 1
    assert dispatcher.ledger.in_flight == 0
    assert names(loop, 3) == ["f1", "f2", "f3"]


def test_to_hand_back_is_no_failed_attempt():
    dispatcher = new_dispatcher(num_works=1, max_attempts=2)
    loop = new_loop(LocalMailbox(lambda: dispatcher))

    for _ in range(5):
        assert names(loop, 1) == ["f0"]
        loop.hand_back()

    assert names(loop, 1) == ["f0"]
    assert not dispatcher.ledger.given_up


def test_readers_that_are_through_have_completed_all():
    dispatcher = new_dispatcher()
    loop = new_loop(LocalMailbox(lambda: dispatcher), num_clients=3)
    names(loop, 4)
    assert loop.next_item() is None

    loop.complete_all()

    assert dispatcher.ledger.is_done


def test_what_belongs_to_a_ledger_that_was_replaced_is_dropped():
    dispatcher = new_dispatcher()
    mailbox = LocalMailbox(lambda: dispatcher)
    loop = new_loop(mailbox)
    names(loop, 2)

    dispatcher = new_dispatcher()

    assert names(loop, 1) == ["f0"]
    assert dispatcher.ledger.completed == 0
    loop.hand_back()
    assert names(loop, 1) == ["f0"]


def test_an_unknown_item_cannot_be_handed_back():
    dispatcher = new_dispatcher()
    mailbox = LocalMailbox(lambda: dispatcher)
    names(new_loop(mailbox), 1)

    mailbox.report(messages.RETURN, "other life", f"{dispatcher.generation} 0")

    assert dispatcher.ledger.in_flight == 1
