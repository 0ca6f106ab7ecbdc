"""What all methods of `Records` have in common: how one is added.

return self._then(template, apply)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from wq_hooks.runtime.records.batching import Batching
from wq_hooks.runtime.records.operations import (
    Operation,
    Pipeline,
    Reading,
    build,
)
from wq_hooks.runtime.records.tagged import TaggedDataset
from wq_hooks.runtime.records.traced_function import TracedFunction

R = TypeVar("R", bound="RecordsBase")


class RecordsBase:
    """Operations behind a reader; see `Records`.

    Args:
      reading: How records are read.
      template: A plain dataset of the same elements.
      operations: What is done with the records.
    """

    def __init__(
        self,
        reading: Reading,
        template: Any,
        operations: tuple[Operation, ...] = (),
    ):
        self._reading = reading
        self._template = template
        self._operations = operations
        self._built: Pipeline | None = None

    @property
    def element_spec(self) -> Any:
        """What the elements are, as of tf.data.Dataset.element_spec."""
        return self._template.element_spec

    def _pipeline(self) -> Pipeline:
        """Returns what all operations together make, built once."""
        if self._built is None:
            self._built = build(self._reading, self._operations)
        return self._built

    def _traced(
        self, function: Callable[..., Any], transformation: str
    ) -> TracedFunction:
        """Returns a function of an element, traced now."""
        return TracedFunction(function, self.element_spec, transformation)

    def _then(
        self: R,
        template: Any,
        apply: Callable[[TaggedDataset], TaggedDataset],
        **kwargs: Any,
    ) -> R:
        """Returns these records with one operation more; see `Operation`."""
        operation = Operation(template.element_spec, apply, **kwargs)
        return type(self)(
            self._reading, template, (*self._operations, operation)
        )

    def _batched(self: R, batching: Batching) -> R:
        """Returns the records in batches."""
        return self._then(
            batching.of_elements(self._template), batching, batching=batching
        )
