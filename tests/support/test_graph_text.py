from __future__ import annotations

import tensorflow as tf
from google.protobuf import text_format

from tests.support import graph_text
from tests.support.sessions import item_of
from wq_hooks import WorkQueue


def test_a_quick_text_is_read_as_the_graph_that_it_was(tmp_path):
    with tf.Graph().as_default() as graph:
        item_of(WorkQueue(["a", "b"]), "take")
        tf.constant([0.1, 1e-30, float("nan"), float("inf")])
        tf.constant('é\n"\\\0')
    graph_def = graph.as_graph_def(add_shapes=True)
    slow = graph_text._message_to_string(graph_def)

    tf.io.write_graph(graph_def, str(tmp_path), "graph.pbtxt")

    text = (tmp_path / "graph.pbtxt").read_text()
    assert sorted(text.split()) == sorted(slow.split())
    again = text_format.Parse(text, tf.compat.v1.GraphDef())
    assert again.SerializeToString(deterministic=True) == (
        graph_def.SerializeToString(deterministic=True)
    )
