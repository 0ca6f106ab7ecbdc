from __future__ import annotations

import pytest
import tensorflow as tf

from wq_hooks import WorkQueue
from wq_hooks.errors import WorkQueueError
from wq_hooks.runtime.reading.element_counter import ElementCounter, counts_in


def test_counts_by_name():
    counter = ElementCounter("test_counts_by_name")

    def all_of(name):
        return counter.counted(tf.data.Dataset.range(3), name)

    counted = tf.data.Dataset.range(1).flat_map(
        lambda _: counter.observed(
            all_of(tf.constant("a")).concatenate(all_of(tf.constant("b")))
        )
    )
    assert list(counted.take(5).as_numpy_iterator()) == [0, 1, 2, 0, 1]
    assert counts_in(counter.read().numpy()) == {"a": 3, "b": 2}


def test_what_tensorflow_lacks_is_named(monkeypatch):
    """As in a future version, where records() is made."""

    class RawOps:
        def __getattr__(self, name):
            if name == "LatencyStatsDataset":
                raise AttributeError(name)
            return getattr(raw_ops, name)

    raw_ops = tf.raw_ops
    with WorkQueue(["a"], name="lacking") as queue:
        monkeypatch.setattr(tf, "raw_ops", RawOps())
        with pytest.raises(WorkQueueError, match=r"lacks .*LatencyStats"):
            queue.records(tf.data.TextLineDataset)
