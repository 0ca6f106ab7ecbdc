"""What must not move: signatures, the arithmetic of items, names in files.

A change of these is a change for users: their scripts, their checkpoints, the
order in which a seed hands out.
"""

from __future__ import annotations

import inspect

import pytest
import tensorflow as tf

import wq_hooks
from tests.support.sessions import train
from wq_hooks import WorkQueue
from wq_hooks.core.items.factoring import factor
from wq_hooks.core.items.order import EpochOrder
from wq_hooks.core.items.slicing import Slicing
from wq_hooks.core.items.works import Works, fingerprint_of

SIGNATURES = {
    "WorkQueue": "works, num_epochs=1, shuffle=True, seed=None, prefix=None, "
    "num_slices=None, name=None, *, num_clients=1, ack='next', is_chief=None",
    "WorkQueue.take": "",
    "WorkQueue.input_producer": "",
    "WorkQueue.input_dataset": "",
    "WorkQueue.records": "reader, *, cycle_length=1",
    "WorkQueue.add_summary": "",
    "WorkQueue.size": "",
    "WorkQueue.snapshot": "",
    "WorkQueue.restore": "snapshot",
    "WorkQueueHook": "work_queue=None, *, every_n_secs=60.0, "
    "every_n_steps=None, summary_dir=None",
    "WorkQueueCallback": "work_queue",
    "GeneralQueueRunner": "queue=None, enqueue_ops=None",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_begins_as_it_is_pinned(name):
    """More keywords may follow."""
    value = wq_hooks
    for part in name.split("."):
        value = getattr(value, part)
    if inspect.isclass(value):
        value = value.__init__
    parameters = [
        parameter.replace(annotation=parameter.empty)
        for key, parameter in inspect.signature(value).parameters.items()
        if key != "self"
    ]
    signature = str(inspect.Signature(parameters))
    assert signature.removeprefix("(").startswith(SIGNATURES[name])


def test_the_pinned_attributes_are_there():
    with WorkQueue(["b", "a"]) as queue:
        assert len(queue) == 2
        assert list(queue.works) == ["b", "a"]


def test_the_order_of_a_seed():
    def order(num, seed, epoch):
        return EpochOrder(num, shuffle=True, seed=seed, epoch=epoch)

    assert list(order(10, 7, 0).range(0, 10)) == [0, 6, 1, 9, 4, 8, 3, 2, 5, 7]
    assert list(order(10, 7, 1).range(0, 10)) == [8, 3, 6, 4, 9, 2, 5, 0, 1, 7]
    many = order(10**7, 123, 3)
    assert list(many.range(0, 3)) == [9446260, 8228824, 3781453]
    assert many[9_999_999] == 9722881


def test_how_works_are_cut():
    slicing = Slicing.share([100, None, 7, 1000], 6)
    texts = [slicing.text(i, str) for i in range(slicing.num_items)]
    assert texts == [
        "0?start=0&end=100",
        "1",
        "2?start=0&end=7",
        "3?start=0&end=250",
        "3?start=250&end=500",
        "3?start=500&end=750",
        "3?start=750&end=1000",
    ]
    assert slicing.to_list() == ["100:1", ":1", "7:1", "1000:4"]


def test_how_auto_cuts():
    slicing = factor([1000, None, 200], 2, least=40)
    lengths = [slicing.locate(i).length for i in range(slicing.num_items)]
    first = [75, 75, 66, 66, 58, 58, 51, 51, 44, 44, *[40] * 9, 52]
    assert lengths == [*first, None, *[40] * 5]


def test_fingerprints():
    assert fingerprint_of(["a", "b"]) == "08b1e8b75c8635d39c23d0ebbd825af4"
    works = Works(["tr\xe4ge", "b"])
    assert works.fingerprint == "bc523d439b09f2bfe296a171d7914223"


def test_the_name_in_a_checkpoint(tmp_path):
    train(["a", "b"], directory=tmp_path, queue_args={"name": "q"})
    keys = tf.train.list_variables(str(tmp_path))
    assert ("q/position", []) in keys
