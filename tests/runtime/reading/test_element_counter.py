from __future__ import annotations

import pytest
import tensorflow as tf

from wq_hooks import WorkQueue
from wq_hooks.runtime.reading import element_counter
from wq_hooks.runtime.reading.element_counter import counts_in, new_counter


class RawOps:
    """Those of a TensorFlow that has dropped its statistics."""

    def __getattr__(self, name):
        if name in element_counter.OPERATIONS:
            raise AttributeError(name)
        return getattr(raw_ops, name)


raw_ops = tf.raw_ops


@pytest.fixture(params=["statistics", "table"])
def kind(request, monkeypatch):
    if request.param == "table":
        monkeypatch.setattr(tf, "raw_ops", RawOps())
    return request.param


@pytest.mark.usefixtures("kind")
class TestCounts:
    def counted(self, kind, dataset_of):
        """Returns a counter and a dataset that is counted twice over."""
        counter = new_counter(f"{kind}/{id(self)}")

        def counted(name):
            return counter.counted(dataset_of(), tf.constant(name))

        return counter, tf.data.Dataset.range(1).flat_map(
            lambda _: counter.observed(counted("a").concatenate(counted("b")))
        )

    def test_by_name(self, kind):
        counter, dataset = self.counted(kind, lambda: tf.data.Dataset.range(3))
        assert list(dataset.take(5).as_numpy_iterator()) == [0, 1, 2, 0, 1]
        assert counts_in(counter.read().numpy()) == {"a": 3, "b": 2}

    def test_an_element_with_an_error_counts(self, kind):
        def inverse(number):
            inverse = 1.0 / tf.cast(number, tf.float32)
            return tf.debugging.check_numerics(inverse, "expected by a test")

        def dataset_of():
            return tf.data.Dataset.range(-1, 2).map(inverse)

        counter, dataset = self.counted(kind, dataset_of)
        given = list(dataset.ignore_errors().as_numpy_iterator())
        assert given == [-1.0, 1.0] * 2
        counts = counts_in(counter.read().numpy())
        assert (counts["a"], counts["b"]) == (3, 3)

    def test_elements_stay_as_they_are(self, kind):
        def dataset_of():
            return tf.data.Dataset.range(3).map(
                lambda n: ({"x": n}, (n, tf.strings.as_string(n)))
            )

        _, dataset = self.counted(kind, dataset_of)
        assert dataset.element_spec == dataset_of().element_spec

    def test_records(self, kind, tmp_path):
        paths = [tmp_path / name for name in "abc"]
        for path in paths:
            path.write_text("1\n2\n3\n")
        with WorkQueue(
            [str(path) for path in paths], name=f"records_{kind}"
        ) as queue:
            dataset = queue.records(tf.data.TextLineDataset).batch(2)
            assert len(list(dataset.to_dataset())) == 5
            assert queue.size() == 0
            assert queue.snapshot().count('"outstanding": []') == 1
