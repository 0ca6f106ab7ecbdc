"""The environment of the TensorFlow programs that tests start."""

from __future__ import annotations

from tests import WITHOUT_ONEDNN
from tests.support.paths import ROOT


def environment(*, has_keras=False):
    """Returns what is added to the environment of a program.

    Args:
      has_keras: Whether the program uses Keras. For those that do not,
        importing TensorFlow leaves Keras 3 out, which is a quarter of it:
        TensorFlow looks for tf-keras in its place, and does not find it.
    """
    variables = {
        "PYTHONPATH": str(ROOT),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        **WITHOUT_ONEDNN,
        "CUDA_VISIBLE_DEVICES": "",
    }
    if not has_keras:
        variables["TF_USE_LEGACY_KERAS"] = "1"
    return variables
