"""Which engine a queue gets, and what is refused before it has one."""

from __future__ import annotations

import pytest
import tensorflow as tf

from wq_hooks import LocalWorkMgr
from wq_hooks.core.options import Options
from wq_hooks.engines.connected import ServedWorks
from wq_hooks.engines.eager import EagerEngine
from wq_hooks.engines.graph import GraphEngine, engines_in
from wq_hooks.engines.new_engine import new_engine
from wq_hooks.errors import WorkQueueError


def engine_for(works, *, local_work_mgr=None, **options):
    options = Options(**options)
    return new_engine(works, None, options, None, local_work_mgr, None)


def test_in_a_graph_it_is_the_graphs():
    with tf.Graph().as_default() as graph:
        engine = engine_for(["a"])
        assert type(engine) is GraphEngine
        assert engines_in(graph) == [engine]
        assert engine_for(["a"]).name == "work_queue_1"


def test_in_eager_mode_it_is_the_processs():
    engine = engine_for(["a"], name="new-engine")
    assert type(engine) is EagerEngine
    assert engine.name == "new-engine"
    engine.close(is_through=True)


def test_a_name_that_is_refused_leaves_the_graph_as_it_was():
    with tf.Graph().as_default() as graph:
        engine_for(["a"], name="q")
        num_ops = len(graph.get_operations())
        with pytest.raises(ValueError, match="'q' twice"):
            engine_for(["a"], name="q")
        assert len(graph.get_operations()) == num_ops


def test_a_manager_is_for_graphs(tmp_path):
    manager = LocalWorkMgr("worker", 0, str(tmp_path))
    with pytest.raises(ValueError, match="local_work_mgr=None in eager mode"):
        engine_for(["a"], local_work_mgr=manager)


def test_served_works_are_for_eager_mode():
    with (
        tf.Graph().as_default(),
        pytest.raises(WorkQueueError, match="in eager mode; got a graph"),
    ):
        engine_for(ServedWorks("grpc://localhost:1"))


@pytest.mark.parametrize(
    ("args", "error", "text"),
    [
        ({"target": "localhost:1"}, ValueError, "target"),
        ({"target": 1}, ValueError, "target"),
        ({"timeout_secs": 0}, ValueError, "timeout_secs > 0"),
        ({"task": "a b"}, ValueError, "without blanks"),
        ({"task": 1}, TypeError, "task"),
    ],
)
def test_where_works_are_served_is_checked(args, error, text):
    with pytest.raises(error, match=text):
        ServedWorks(**{"target": "grpc://localhost:1", **args})
