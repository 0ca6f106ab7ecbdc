"""Each engine refuses what it does not define, for a reason of the table."""

from __future__ import annotations

import pytest

from wq_hooks.core.chief.tasks import Task
from wq_hooks.engines.base import Engine, Refused
from wq_hooks.engines.connected import ConnectedEngine
from wq_hooks.engines.eager import EagerEngine
from wq_hooks.engines.graph import GraphEngine
from wq_hooks.engines.refusals import REFUSALS, refusal

KINDS = [GraphEngine, EagerEngine, ConnectedEngine]


class SomeEngine(Engine):
    mode = "connected"
    name = "mine"
    target = "grpc://server:1"
    task = Task("node7-4711", 0, is_chief=False)


def test_the_table_has_what_is_refused_and_no_more():
    refused = {
        (kind.mode, method)
        for kind in KINDS
        for method in vars(Engine)
        if isinstance(getattr(kind, method), Refused)
    }
    assert refused == set(REFUSALS)


@pytest.mark.parametrize(("mode", "method"), REFUSALS)
def test_each_says_what_was_expected_and_names_the_queue(mode, method):
    engine = SomeEngine()
    engine.mode = mode
    text = str(refusal(engine, method))
    assert text.startswith("Expected ")
    assert "{" not in text
    assert text.endswith(".")


def test_a_method_is_refused_when_it_is_asked_for():
    with pytest.raises(
        Exception, match=r"serve .* 'mine'; this one \(node7-4711\) has conn"
    ):
        SomeEngine().serve(0)
