"""What a queue cannot do in a mode: what was expected, and the fix.

raise refusal(engine, "serve")

The one table of reasons. Each method that an engine leaves to `Engine` has a
row in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wq_hooks.errors import WorkQueueError


@dataclass(frozen=True)
class Reason:
    """Why a method is refused.

    Attributes:
      expected: Expectation and received value; it is formatted.
      fix: Remedy.
      what: Name of what the user asked for; "": the method.
    """

    expected: str
    fix: str = ""
    what: str = ""


_EAGER = (
    "Expected a queue of eager mode for {what}; {engine.name!r} was made in a "
    "graph, whose sessions begin and end it, and where it stands on a "
    "parameter server for all tasks."
)
_GRAPH = (
    "Expected graph mode for {what}, whose Reader ops exist only there; got a "
    "queue of eager mode."
)
_SERVER = (
    "Expected {what} to be asked for in the process that serves work queue "
    "{engine.name!r}; this one ({engine.task.job}) has connected to "
    "{engine.target}."
)
_DATASET = "Use input_dataset()."
_HOOK = "The train steps of a session say themselves what they have trained."
_SAVER = "A tf.compat.v1.train.Saver saves and restores the position there."
_COORDINATOR = (
    "Workers of a ParameterServerStrategy read from a queue that their "
    "coordinator makes in the scope of the strategy."
)

REFUSALS = {
    # (mode, method)
    ("graph", "enter"): Reason(_EAGER, what="a with block"),
    ("graph", "close"): Reason(_EAGER),
    ("graph", "serve"): Reason(_EAGER),
    ("graph", "join"): Reason(_EAGER),
    ("graph", "mark_trained"): Reason(_EAGER, _HOOK),
    ("graph", "dataset_creator"): Reason(_EAGER, _COORDINATOR),
    ("graph", "schedule_steps"): Reason(_EAGER, _COORDINATOR),
    ("graph", "schedule_items"): Reason(_EAGER, _COORDINATOR),
    ("graph", "serialize"): Reason(_EAGER, _SAVER, "tf.train.Checkpoint"),
    ("graph", "deserialize"): Reason(_EAGER, _SAVER, "tf.train.Checkpoint"),
    ("eager", "input_producer"): Reason(_GRAPH, _DATASET),
    ("connected", "input_producer"): Reason(_GRAPH, _DATASET),
    ("connected", "works"): Reason(_SERVER),
    ("connected", "add_works"): Reason(_SERVER),
    ("connected", "close_works"): Reason(_SERVER),
    ("connected", "num_added"): Reason(_SERVER),
    ("connected", "serve"): Reason(_SERVER),
    ("connected", "join"): Reason(_SERVER),
    ("connected", "dataset_creator"): Reason(_SERVER, _COORDINATOR),
    ("connected", "schedule_steps"): Reason(_SERVER, _COORDINATOR),
    ("connected", "schedule_items"): Reason(_SERVER, _COORDINATOR),
    ("connected", "snapshot"): Reason(
        _SERVER, "Leave this queue out of a save.", "the position"
    ),
    ("connected", "restore"): Reason(_SERVER),
    ("connected", "serialize"): Reason(
        _SERVER, "Leave work_queue out of the Checkpoint here.", "the position"
    ),
}


def refusal(engine: Any, method: str) -> WorkQueueError:
    """Returns the error of an engine that is asked for what it cannot do."""
    reason = REFUSALS[engine.mode, method]
    expected = reason.expected.format(engine=engine, what=reason.what or method)
    return WorkQueueError(f"{expected} {reason.fix}".rstrip())
