"""What `dir(queue)` shows, without an underscore: the same in all modes."""

from __future__ import annotations

import re

import pytest
import tensorflow as tf

from tests.support.paths import ROOT
from wq_hooks import WorkQueue
from wq_hooks.engines import engine_of

PINNED = {
    "add_summary",
    "input_dataset",
    "input_producer",
    "records",
    "restore",
    "size",
    "snapshot",
    "take",
    "works",
}
# Pages for users name them.
DOCUMENTED = {
    "add_works",
    "close",
    "close_works",
    "connect",
    "dataset_creator",
    "join",
    "mark_trained",
    "name",
    "num_added",
    "schedule_items",
    "schedule_steps",
    "serve",
}
# What a tf.train.Checkpoint calls.
OF_TRACKABLES = {"deserialize", "serialize"}


@pytest.fixture
def graph_queue():
    with tf.Graph().as_default():
        return WorkQueue(["a"])


@pytest.fixture
def eager_queue():
    with WorkQueue(["a"]) as queue:
        yield queue


@pytest.fixture
def connected_queue(eager_queue):
    target = f"grpc://localhost:{eager_queue.serve(0)}"
    with WorkQueue.connect(target) as queue:
        yield queue


@pytest.mark.parametrize("mode", ["graph", "eager", "connected"])
def test_they_are_those_of_the_pages_in_each_mode(mode, request):
    queue = request.getfixturevalue(f"{mode}_queue")
    assert engine_of(queue).mode == mode
    assert type(queue) is WorkQueue
    shown = {name for name in dir(queue) if not name.startswith("_")}
    assert shown == PINNED | DOCUMENTED | OF_TRACKABLES


def test_pages_for_users_name_them():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    text = "\n".join(page.read_text() for page in pages)
    for name in DOCUMENTED:
        assert re.search(rf"(queue|WorkQueue)\.{name}\b", text), name
