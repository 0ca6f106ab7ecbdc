"""What all methods of `Records` have in common: how one is added."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from wq_hooks.runtime.records.batching import Batching
from wq_hooks.runtime.records.operations import (
    OfDataset,
    Operation,
    Pipeline,
    Reading,
    build,
)
from wq_hooks.runtime.records.tagged import TaggedDataset
from wq_hooks.runtime.records.traced_function import TracedFunction

R = TypeVar("R", bound="RecordsBase")


class RecordsBase:
    """Operations after a reader; see `Records`."""

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
        if self._built is None:
            self._built = build(self._reading, self._operations)
        return self._built

    def _traced(
        self, function: Callable[..., Any], transformation: str
    ) -> TracedFunction:
        return TracedFunction(function, self.element_spec, transformation)

    def _then(
        self: R,
        of_dataset: OfDataset,
        apply: Callable[[TaggedDataset], TaggedDataset],
        *,
        may_be_read: bool = False,
        **kwargs: Any,
    ) -> R:
        """Returns the records after one more operation; see `Operation`.

        `of_dataset` applies it to a plain dataset, `apply` to one that knows
        its records. `may_be_read`: the reader may do it to the dataset of an
        item.
        """
        template = of_dataset(self._template)
        kwargs["of_reader"] = of_dataset if may_be_read else None
        operation = Operation(template.element_spec, apply, **kwargs)
        return type(self)(
            self._reading, template, (*self._operations, operation)
        )

    def _batched(self: R, batching: Batching, **kwargs: Any) -> R:
        return self._then(
            batching.of_elements, batching, batching=batching, **kwargs
        )
