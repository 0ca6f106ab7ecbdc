"""Which engine a queue gets: by what is listed, and where it is made.

engine = new_engine(["a.csv"], None, Options(num_epochs=2), None, None, None)
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core.items.works import Works
from wq_hooks.core.names import Names
from wq_hooks.core.options import Options
from wq_hooks.engines import open_queues
from wq_hooks.engines.base import Engine
from wq_hooks.engines.connected import ConnectedEngine, ServedWorks
from wq_hooks.engines.eager import EagerEngine
from wq_hooks.engines.graph import GraphEngine, engines_in
from wq_hooks.engines.listing import Listing
from wq_hooks.local_work_mgr import LocalWorkMgr, expect_local_work_mgr
from wq_hooks.sources.passwords import expect_no_passwords
from wq_hooks.sources.registry import TableSource


def new_engine(
    works: Any,
    prefix: str | None,
    options: Options,
    source: Callable[[str], TableSource | None] | None,
    local_work_mgr: LocalWorkMgr | None,
    attempts_dir: str | os.PathLike[str] | None,
) -> Engine:
    """Returns the engine of a new queue; see WorkQueue for the arguments.

    Args:
      works: Listed works, or a `ServedWorks`.
      prefix: The prefix.
      options: The options as given, with or without a name.
      source: Returns the source of a work.
      local_work_mgr: The manager.
      attempts_dir: The directory.
    """
    if isinstance(works, ServedWorks):
        return ConnectedEngine(works, options)
    manager = expect_local_work_mgr(local_work_mgr)
    listed = Works(works, prefix)
    expect_no_passwords(listed)
    is_eager = tf.executing_eagerly()
    if is_eager and manager is not None:
        raise ValueError(
            "Expected local_work_mgr=None in eager mode; got a manager. "
            "Keep queue.snapshot() in a file, or make the queue in a graph."
        )
    if is_eager:
        open_queues.make_room(options.name)
    names = open_queues.names() if is_eager else _names_in_graph()
    with names.claimed(options.name) as name:
        listing = Listing(
            listed,
            dataclasses.replace(options, name=name),
            is_named=options.name is not None,
            source=source,
            attempts_directory=None
            if attempts_dir is None
            else os.fspath(attempts_dir),
        )
        if is_eager:
            return EagerEngine(listing)
        return GraphEngine(listing, manager)


def _names_in_graph() -> Names:
    engines = engines_in(tf1.get_default_graph())
    return Names("the graph", lambda: [engine.name for engine in engines])
