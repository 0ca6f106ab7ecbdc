"""Functions of the user, traced once, when they are given, as tf.data does.

    parse = TracedFunction(map_func, dataset.element_spec, "Dataset.map()")
    parse.output_spec
    parse(element)                   # in any function of a dataset

`Records` may use a function in several datasets, and builds them later. A name
that the function closes over may have another value by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

# tf.data converts the functions that it is given with this one. There is no
# other name for it: `tf.autograph.to_graph` refuses what has no source, and
# does not know whether the user has turned AutoGraph off.
from tensorflow import __internal__ as tf_internal

from wq_hooks.runtime.ports.tuning import asks_for_tuning

# Marked as stateful so that it is kept; it changes nothing.
_ASSERT = "Assert"

# For functions of ours: AutoGraph has nothing to convert in them.
as_it_is = tf.autograph.experimental.do_not_convert


class TracedFunction:
    """A function of a user, traced for elements of a dataset.

    Args:
      function: Takes an element as a function of tf.data does: a tuple is
        spread over its arguments.
      input_spec: Spec of the elements.
      transformation: Name of the method, for error messages.

    Raises:
      TypeError: If tf.data has no place for what the function returns.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        input_spec: Any,
        transformation: str,
    ):
        self._input_spec = input_spec
        self.output_spec: Any = None
        context = tf_internal.autograph.control_status_ctx()

        def traced(*flat: Any) -> Any:
            element = packed_as(input_spec, flat)
            converted = tf_internal.autograph.tf_convert(function, context)
            result = converted(*_arguments(element))
            if isinstance(result, list):
                # As tf.data: a list at the top is a tuple.
                result = tuple(result)
            self.output_spec = _spec_of(result, transformation)
            return flat_tensors(_normalized(self.output_spec, result))

        self._function = tf.function(
            traced, input_signature=_flat_specs(input_spec), autograph=False
        ).get_concrete_function()

    @property
    def is_stateful(self) -> bool:
        """Whether it matters how often and in which order it is called."""
        return any(
            op.op_def.is_stateful and op.type != _ASSERT
            for op in self._function.graph.get_operations()
        )

    @property
    def asks_for_tuning(self) -> bool:
        """Whether a dataset in it has AUTOTUNE for a number of calls."""
        return asks_for_tuning(self._function.graph)

    @as_it_is  # type: ignore[untyped-decorator]
    def __call__(self, element: Any) -> Any:
        """Returns what the function gives for an element."""
        return packed_as(
            self.output_spec, self._function(*flat_tensors(element))
        )

    @property
    def spread(self) -> Callable[..., Any]:
        """The function as tf.data calls it: a tuple comes as arguments."""
        is_tuple = type(self._input_spec) is tuple
        return as_it_is(lambda *args: self(args if is_tuple else args[0]))


def flat_tensors(element: Any) -> list[Any]:
    """Returns the tensors that an element consists of."""
    flat = tf.nest.flatten(element, expand_composites=True)
    return [
        part.flow if isinstance(part, tf.TensorArray) else part
        for part in flat
        if part is not None
    ]


def packed_as(spec: Any, flat: Any) -> Any:
    """Returns the element of which `flat_tensors` has given the tensors."""
    return tf.nest.pack_sequence_as(spec, list(flat), expand_composites=True)


def _flat_specs(spec: Any) -> list[Any]:
    flat = tf.nest.flatten(spec, expand_composites=True)
    return [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in flat]


def _arguments(element: Any) -> tuple[Any, ...]:
    # Named tuples are not spread.
    return element if type(element) is tuple else (element,)


def _spec_of(result: Any, transformation: str) -> Any:
    """Returns what tf.data makes of a result, in a graph that is never run."""
    spec = None

    def result_of_function(_: Any) -> Any:
        return result

    def unused() -> Any:
        nonlocal spec
        dataset = tf.data.Dataset.from_tensors(0)
        try:
            spec = dataset.map(as_it_is(result_of_function)).element_spec
        except TypeError as error:
            text = str(error).replace("Dataset.map()", transformation)
            raise TypeError(text) from error

    tf.function(unused, autograph=False).get_concrete_function()
    return spec


def _normalized(spec: Any, result: Any) -> Any:
    """Returns a function's result with tensors for all that becomes one."""
    pairs = list(_leaves(spec, result))
    return [_normalized_leaf(*pair) for pair in pairs]


def _leaves(spec: Any, value: Any) -> Iterator[tuple[Any, Any]]:
    """Yields (spec, value) in the order of tf.nest.

    To tf.nest a list is a structure, and to tf.data a tensor.
    """
    if isinstance(spec, tf.TypeSpec):
        yield spec, value
        return
    for part, part_of_value in zip(_parts_of(spec), _parts_of(value)):
        yield from _leaves(part, part_of_value)


def _parts_of(structure: Any) -> list[Any]:
    if isinstance(structure, Mapping):
        return [structure[key] for key in sorted(structure)]
    if isinstance(structure, tuple):
        return list(structure)
    if hasattr(structure, "__tf_flatten__"):
        _, parts = structure.__tf_flatten__()
        return list(parts)
    fields = type(structure).__attrs_attrs__
    return [getattr(structure, field.name) for field in fields]


def _normalized_leaf(spec: Any, value: Any) -> Any:
    if isinstance(spec, tf.TensorSpec):
        return tf.convert_to_tensor(value, spec.dtype)
    if isinstance(spec, tf.SparseTensorSpec):
        return tf.SparseTensor.from_value(value)
    return value
