"""Grappler without its detour through MLIR, which takes long.

    grappler.quicken()

For each graph that a session or a function runs, Grappler converts it to MLIR
and back, for passes that infer shapes and rewrite nothing. That is a tenth of
what a test of a small graph takes. All that does rewrite the graph stays.
"""

from __future__ import annotations

import functools

import tensorflow as tf
from tensorflow.python.client import session
from tensorflow.python.eager import context

_init = session.BaseSession.__init__


def quicken():
    """Leaves the detour out in this process."""
    session.BaseSession.__init__ = _quick
    # That of functions, and of a session that is made without one.
    context.context()._config = without_mlir(context.context()._config)


def without_mlir(config):
    """Returns a copy of a ConfigProto, or a new one, without the detour."""
    quick = tf.compat.v1.ConfigProto()
    if config is not None:
        quick.CopyFrom(config)
    quick.graph_options.rewrite_options.disable_tfg_optimizer = True
    return quick


@functools.wraps(_init)
def _quick(self, target="", graph=None, config=None):
    if isinstance(config, tf.compat.v1.ConfigProto):
        config = without_mlir(config)
    _init(self, target, graph, config)
