from __future__ import annotations

import tensorflow as tf
from tensorflow.python.eager import context

tf1 = tf.compat.v1


def test_a_session_is_as_it_was_asked_for_but_for_the_detour():
    asked = tf1.ConfigProto(device_filters=["/job:ps"])
    for config in (None, asked):
        with tf.Graph().as_default(), tf1.Session(config=config) as session:
            used = session._config
        options = used.graph_options.rewrite_options
        assert options.disable_tfg_optimizer
        assert not options.disable_meta_optimizer
        assert used.device_filters == (config.device_filters if config else [])
    assert not asked.HasField("graph_options")


def test_functions_do_without_the_detour_too():
    options = context.context().function_call_options
    config = tf1.ConfigProto.FromString(options.config_proto_serialized)

    assert config.graph_options.rewrite_options.disable_tfg_optimizer
