from __future__ import annotations

import pytest
import tensorflow as tf

from tests.support.keras_version import has_keras_2
from wq_hooks.errors import WorkQueueError
from wq_hooks.runtime.strategies.parameter_servers import (
    expect_dataset_creator,
    is_on_parameter_servers,
)


def test_the_strategy_is_recognised():
    assert not is_on_parameter_servers(tf.distribute.get_strategy())
    assert not is_on_parameter_servers(tf.distribute.MirroredStrategy(["CPU"]))


@pytest.mark.skipif(has_keras_2, reason="Keras 2 has the strategy")
def test_keras_3_is_told_of_tf_keras():
    with pytest.raises(WorkQueueError, match="Install tf-keras"):
        expect_dataset_creator()
