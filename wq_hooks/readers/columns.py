"""The values of a table's column, as its default says what they are.

    column = Column.of(np.int32(7), 0)
    column.array([1, None, 3])              # int32: 1, 7, 3

A value is kept as it is, or it is an error: an integer that the type cannot
hold, a text where a number is asked for. The one exception is the rounding of
floating-point numbers, to the nearest one of the type, as `tf.io.decode_csv`
does it.
"""

from __future__ import annotations

import datetime
import decimal
import ipaddress
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

_INT64 = np.iinfo(np.int64)
_UINT64 = np.iinfo(np.uint64)
_INTS = frozenset((int, bool))
_NUMBERS = frozenset((int, bool, float))
# Text of these is what people and databases write.
_SCALARS = (
    bool,
    int,
    float,
    np.generic,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    uuid.UUID,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
)


@dataclass(frozen=True)
class Column:
    """What a column is read as.

    Attributes:
      dtype: Type of the column.
      shape: Shape of one value: (), or (n,) of lists of n numbers.
      default: Value in place of NULL; None: NULL is an error.
    """

    dtype: Any
    shape: tuple[int, ...]
    default: Any

    @classmethod
    def of(cls, value: Any, number: int) -> Column:
        """Returns the column of a default.

        Args:
          value: A Python value (int: tf.int64, float: tf.float32), a numpy
            value, or a tensor: a scalar, or a list of it, as decode_csv has
            them. Of several numbers: the column has lists of so many. An
            empty list or tensor, or a tf.DType: NULL is an error.
          number: Place of the column, for errors.

        Raises:
          ValueError: If it is none of these.
        """
        try:
            dtype, array = _typed(value)
        except (TypeError, ValueError, OverflowError) as e:
            raise ValueError(
                f"Expected a default in record_defaults[{number}], a Python or "
                f"numpy value or a constant; got {value!r:.200}: {e}"
            ) from e
        if array.ndim > 1:
            raise ValueError(
                "Expected one value, or a list of them, in record_defaults"
                f"[{number}]; got the shape {list(array.shape)}."
            )
        is_number = dtype.is_integer or dtype.is_floating or dtype.is_bool
        if dtype != tf.string and not is_number:
            raise ValueError(
                "Expected an integer, a floating-point number, a bool or a "
                f"string in record_defaults[{number}]; got {dtype.name}."
            )
        if array.size > 1:
            return cls(dtype, array.shape, array)
        return cls(dtype, (), array.ravel()[0] if array.size else None)

    @property
    def spec(self) -> Any:
        """The spec of several values."""
        return tf.TensorSpec([None, *self.shape], self.dtype)

    @property
    def type_name(self) -> str:
        """Name of the type, for errors."""
        return str(self.dtype.name)

    def array(self, values: Sequence[Any]) -> Any:
        """Returns values of the column as an array.

        Raises:
          ValueError: If the type cannot hold one, or NULL has no default.
        """
        if any(value is None for value in values):
            if self.default is None:
                raise ValueError("got NULL, and there is no default for it")
            values = [self.default if v is None else v for v in values]
        if not self.shape:
            return self._flat(values)
        flat: list[Any] = []
        for value in values:
            if not isinstance(value, (list, tuple, np.ndarray)) or (
                len(value) != self.shape[0]
            ):
                raise ValueError(
                    f"got {value!r:.100}, not a list of {self.shape[0]}"
                )
            flat.extend(value)
        return self._flat(flat).reshape(-1, *self.shape)

    def _flat(self, values: Sequence[Any]) -> Any:
        if self.dtype == tf.string:
            return np.array([_text(v) for v in values], object)
        if self.dtype.is_integer:
            return self._integers(values)
        if self.dtype.is_bool:
            return np.array([_bool(v) for v in values], np.bool_)
        return self._floats(values)

    def _integers(self, values: Sequence[Any]) -> Any:
        if not _INTS.issuperset(map(type, values)):
            values = [_int(value) for value in values]
        least, most = self.dtype.min, self.dtype.max
        for value in (min(values, default=0), max(values, default=0)):
            if not least <= value <= most:
                raise ValueError(
                    f"got {value}, which {self.dtype.name} cannot hold"
                )
        return np.array(values, self.dtype.as_numpy_dtype)

    def _floats(self, values: Sequence[Any]) -> Any:
        if not _NUMBERS.issuperset(map(type, values)):
            values = [_float(value) for value in values]
        try:
            wide = np.array(values, np.float64)
        except OverflowError as e:
            raise ValueError(
                f"got an integer that {self.dtype.name} cannot hold"
            ) from e
        with np.errstate(over="ignore"):
            narrow = wide.astype(self.dtype.as_numpy_dtype)
        lost = np.isinf(narrow) & ~np.isinf(wide)
        if lost.any():
            raise ValueError(
                f"got {wide[lost][0]}, which {self.dtype.name} cannot hold"
            )
        return narrow


def csv_value(value: Any) -> Any:
    """Returns a value as Python's csv writes it; ValueError: it cannot."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    return _text(value).decode("utf-8", "surrogateescape")


def _typed(value: Any) -> tuple[Any, Any]:
    """Returns the type of a default and an array of it, empty if none."""
    if isinstance(value, tf.DType):
        return value, np.zeros(0)
    array = _as_array(value)
    if array.dtype.kind not in "SUO":
        return tf.as_dtype(array.dtype), array
    texts = [_text(text) for text in array.ravel()]
    return tf.string, np.array(texts, object).reshape(array.shape)


def _as_array(value: Any) -> Any:
    """Returns a default as an array of its type."""
    if isinstance(value, (tf.Tensor, tf.Variable)):
        static = tf.get_static_value(
            value if isinstance(value, tf.Tensor) else value.read_value()
        )
        if static is None:
            raise ValueError("its value is known only when the graph runs")
        # Text comes as bytes, of which an array would cut others to length.
        return np.array(static, object if value.dtype == tf.string else None)
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value)
    if isinstance(value, (list, tuple)):
        if not value:
            return np.zeros(0, np.float32)  # As decode_csv takes it.
        arrays = [_as_array(element) for element in value]
        if any(array.dtype.kind in "SUO" for array in arrays):
            arrays = [array.astype(object) for array in arrays]
        return np.stack(arrays) if len(arrays) > 1 else arrays[0]
    if isinstance(value, (str, bytes)):
        return np.array(value, object)
    if isinstance(value, bool):
        return np.array(value)
    if isinstance(value, int):
        return np.array(value, np.int64 if value <= _INT64.max else np.uint64)
    if isinstance(value, float):
        return np.array(value, np.float32)
    raise ValueError(f"of type {type(value).__name__}")


def _text(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, decimal.Decimal):
        return format(value, "f").encode()  # Without an exponent.
    if isinstance(value, _SCALARS):
        return str(value).encode()
    raise ValueError(f"got {value!r:.100}, which is no single value")


def _int(value: Any) -> int:
    if isinstance(value, (int, np.integer, np.bool_)):
        return int(value)
    if isinstance(value, decimal.Decimal) and value.is_finite():
        whole = int(value)
        if whole == value:
            return whole
    raise ValueError(f"got {value!r:.100}, which is no integer")


def _float(value: Any) -> float:
    # bfloat16 is of numpy's kind "V".
    is_numpy = isinstance(value, np.generic) and value.dtype.kind in "biufV"
    if is_numpy or isinstance(value, (int, float, decimal.Decimal)):
        return float(value)
    raise ValueError(f"got {value!r:.100}, which is no number")


def _bool(value: Any) -> bool:
    if isinstance(value, (bool, np.bool_, int, np.integer)) and value in (0, 1):
        return bool(value)
    raise ValueError(f"got {value!r:.100}, which is no bool")
