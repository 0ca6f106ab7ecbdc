"""The class in front: what it hands to the engine, in each mode."""

from __future__ import annotations

import inspect

import pytest
import tensorflow as tf

from wq_hooks import WorkQueue
from wq_hooks.engines import engine_of
from wq_hooks.engines.base import Engine
from wq_hooks.errors import WorkQueueError


class Recorder(Engine):
    """Notes what it is asked for."""

    def __init__(self):
        self.calls = []

    def __getattribute__(self, name):
        if name not in vars(Engine) or name.startswith("__"):
            return super().__getattribute__(name)

        def method(*args, **kwargs):
            self.calls.append((name, args, kwargs))
            return name

        return method


@pytest.fixture
def queue():
    with tf.Graph().as_default():
        queue = WorkQueue(["a"])
    queue._engine = Recorder()
    return queue


ARGS = {
    "take": (),
    "input_producer": (),
    "input_dataset": (),
    "records": (len,),
    "mark_trained": (2,),
    "dataset_creator": (len,),
    "schedule_steps": ("coordinator", len, len),
    "schedule_items": ("coordinator", len),
    "size": (),
    "add_summary": (),
    "add_works": (["b"],),
    "close_works": (),
    "snapshot": (),
    "restore": ("{}",),
    "serialize": (),
    "deserialize": ("{}",),
    "serve": (0,),
    "join": (1.0,),
    "close": (),
}


@pytest.mark.parametrize("name", ARGS)
def test_a_method_asks_the_engine_for_its_own(queue, name):
    answer = getattr(queue, name)(*ARGS[name])
    ((called, args, kwargs),) = engine_of(queue).calls
    assert called == name
    assert args[: len(ARGS[name])] == ARGS[name]
    assert answer in (name, None)
    # The engine is told all that the user may say.
    parameters = inspect.signature(getattr(queue, name)).parameters
    assert len(parameters) <= len(args) + len(kwargs)


def test_a_block_closes_through_or_not(queue):
    with queue:
        pass
    with pytest.raises(ZeroDivisionError), queue:
        raise ZeroDivisionError
    closes = [kwargs for name, _, kwargs in engine_of(queue).calls[1::2]]
    assert closes == [{"is_through": True}, {"is_through": False}]


def test_each_engine_method_is_called_by_the_queue():
    own = {name for name in vars(Engine) if not name.startswith("_")}
    assert own == {*ARGS, "enter", "num_added", "num_items", "works"}


def test_a_subclass_is_connected_by_its_own_constructor():
    class Mine(WorkQueue):
        pass

    with pytest.raises(WorkQueueError, match="1"):
        Mine.connect("grpc://localhost:1", timeout_secs=0.01)


def test_what_is_saved_of_a_graph_is_the_savers():
    with tf.Graph().as_default():
        queue = WorkQueue(["a"])
        for call in (queue.serialize, lambda: queue.deserialize("")):
            with pytest.raises(WorkQueueError, match="Saver saves"):
                call()
