"""The ways in which a queue lives: in a graph, in this process, elsewhere.

    engine = engine_of(queue)
    if isinstance(engine, GraphEngine): ...

Users call a `WorkQueue`; hooks, callbacks and threads talk to its engine.
"""

from __future__ import annotations

from typing import Any

from wq_hooks.engines.base import Engine

__all__ = ["Engine", "engine_of"]


def engine_of(queue: Any) -> Engine:
    """Returns the engine of a WorkQueue."""
    engine: Engine = queue._engine
    return engine
