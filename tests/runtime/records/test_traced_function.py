"""Functions of a user are traced once, and give what tf.data makes of them."""

from __future__ import annotations

import collections
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from wq_hooks.runtime.records.traced_function import TracedFunction

tf1 = tf.compat.v1


class Named(NamedTuple):
    first: Any
    second: Any


class Extension(tf.experimental.BatchableExtensionType):
    dense: tf.Tensor
    ragged: tf.RaggedTensor


def array_of(x):
    array = tf.TensorArray(tf.int64, 2, element_shape=[])
    return array.unstack(tf.stack([x, x]))


LEAVES = {
    "tensor": lambda x: x + 1,
    "Python int": lambda x: 1,
    "Python float": lambda x: 1.5,
    "Python string": lambda x: "text",
    "list of numbers": lambda x: [1, 2, 3],
    "list of tensors": lambda x: [x, x],
    "numpy": lambda x: np.arange(3, dtype=np.uint8),
    "shape unknown": lambda x: tf.range(x),
    "None": lambda x: None,
    "ragged": lambda x: tf.RaggedTensor.from_row_lengths(tf.range(x), [x]),
    "ragged twice": lambda x: tf.ragged.constant([[[1], [2, 3]], [[]]]),
    "uniform": lambda x: tf.RaggedTensor.from_uniform_row_length(
        tf.range(6), 2
    ),
    "sparse": lambda x: tf.sparse.from_dense([x, 0, 1]),
    "sparse value": lambda x: tf1.SparseTensorValue([[0]], [1], [2]),
    "optional": lambda x: tf.experimental.Optional.from_value((x, 1)),
    "dataset": lambda x: tf.data.Dataset.range(x).map(lambda y: (y, [y])),
    "TensorArray": array_of,
    "extension type": lambda x: Extension(
        tf.cast(x, tf.float32), tf.ragged.constant([[1], [2, 3]])
    ),
}
SEVERAL = {
    "numpy_function": lambda x: tf.numpy_function(
        lambda y: (y, np.float32(y)), [x], [tf.int64, tf.float32]
    ),
    "py_function": lambda x: tf.py_function(
        lambda y: (y, y), [x], [tf.int64, tf.int64]
    ),
    "decode_csv": lambda x: tf.io.decode_csv("1,2.5,a", [[0], [0.0], [""]]),
    "split": lambda x: tf.split(tf.zeros([4, 2]), 2),
}


def leaf(name, function):
    return f"{name!r}", function


leaves = st.sampled_from(sorted(LEAVES)).map(
    lambda name: leaf(name, LEAVES[name])
)


def of_parts(name, make):
    def combined(parts):
        names, functions = zip(*parts)
        text = f"{name}({', '.join(names)})"
        return text, lambda x: make([function(x) for function in functions])

    return combined


def structures(parts):
    two = st.lists(parts, min_size=2, max_size=2)
    return st.one_of(
        st.lists(parts, min_size=1, max_size=3).map(of_parts("tuple", tuple)),
        two.map(of_parts("Named", lambda p: Named(*p))),
        two.map(of_parts("dict", lambda p: dict(zip("ba", p)))),
        two.map(
            of_parts(
                "OrderedDict",
                lambda p: collections.OrderedDict(zip("ba", p)),
            )
        ),
    )


def with_tensor(drawn):
    """An element needs something in it."""
    name, function = drawn
    return f"({name}, x)", lambda x: (function(x), x)


results = st.one_of(
    leaves.filter(lambda drawn: drawn[0] != "'None'"),
    st.sampled_from(sorted(SEVERAL)).map(lambda n: leaf(n, SEVERAL[n])),
    st.recursive(leaves, structures, max_leaves=4).map(with_tensor),
    st.lists(leaves, max_size=2).map(
        lambda parts: of_parts("list", list)([leaf("x", tf.identity), *parts])
    ),
)


def as_it_is(function):
    # For hypothesis makes functions that AutoGraph has no source of.
    return tf.autograph.experimental.do_not_convert(function)


def shown(element):
    def show(part):
        if isinstance(part, tf.RaggedTensor):
            return part.to_list()
        if isinstance(part, tf.data.Dataset):
            return [shown(x) for x in part]
        if isinstance(part, tf.experimental.Optional):
            return shown(part.get_value())
        if isinstance(part, tf.TensorArray):
            return part.stack().numpy().tolist()
        return np.asarray(part).tolist() if tf.is_tensor(part) else part

    if isinstance(element, (Extension, tf.SparseTensor)):
        flat = tf.nest.flatten(element, expand_composites=True)
        return [show(part) for part in flat]
    if isinstance(element, tuple):
        return [shown(part) for part in element]
    if isinstance(element, dict):
        return [(key, shown(element[key])) for key in sorted(element)]
    return show(element)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(results)
def test_structure_spec_and_values_are_those_of_tf_data(drawn):
    _, function = drawn
    function = as_it_is(function)
    numbers = tf.data.Dataset.range(1, 3)
    plain = numbers.map(function)

    traced = TracedFunction(function, numbers.element_spec, "Dataset.map()")
    found = numbers.map(traced.spread)
    # And as the argument of one.
    arguments = as_it_is(lambda *args: args)
    again = TracedFunction(arguments, plain.element_spec, "Dataset.map()")
    passed, plain_passed = found.map(again.spread), plain.map(arguments)

    assert traced.output_spec == plain.element_spec
    assert found.element_spec == plain.element_spec
    assert type(found.element_spec) is type(plain.element_spec)
    assert [shown(x) for x in found] == [shown(x) for x in plain]
    assert passed.element_spec == plain_passed.element_spec
    assert [shown(x) for x in passed] == [shown(x) for x in plain_passed]


@pytest.mark.parametrize(
    "function", [lambda x: object(), lambda x: (x, {"a": [1, "b"]})]
)
def test_what_tf_data_has_no_place_for_is_refused_in_its_words(function):
    numbers = tf.data.Dataset.range(3)
    with pytest.raises(TypeError, match=r"passed to Dataset\.map\(\)"):
        numbers.map(function)
    with pytest.raises(TypeError, match=r"passed to Dataset\.filter\(\)"):
        TracedFunction(function, numbers.element_spec, "Dataset.filter()")


def test_autograph_converts_it_unless_it_is_turned_off():
    def doubled_if_odd(x):
        if x % 2 == 1:
            x = x * 2
        return x

    numbers = tf.data.Dataset.range(4)
    traced = TracedFunction(doubled_if_odd, numbers.element_spec, "map")
    assert list(numbers.map(traced.spread).as_numpy_iterator()) == [0, 2, 2, 6]
    with pytest.raises(tf.errors.OperatorNotAllowedInGraphError):
        TracedFunction(as_it_is(doubled_if_odd), numbers.element_spec, "map")


def test_random_numbers_are_those_of_tf_data():
    def drawn(x):
        return tf.random.uniform([]), tf.random.normal([2], seed=3)

    tf.random.set_seed(5)
    numbers = tf.data.Dataset.range(3)
    plain = [shown(x) for x in numbers.map(drawn)]
    traced = TracedFunction(drawn, numbers.element_spec, "Dataset.map()")
    assert traced.is_stateful
    assert [shown(x) for x in numbers.map(traced.spread)] == plain


def test_it_is_called_once_and_has_what_it_captured_then():
    num_calls = 0
    offset = 1

    def add(x):
        nonlocal num_calls
        num_calls += 1
        return x + offset

    numbers = tf.data.Dataset.range(3)
    traced = TracedFunction(add, numbers.element_spec, "Dataset.map()")
    offset = 100
    for _ in range(3):
        dataset = numbers.map(traced.spread)
        assert list(dataset.as_numpy_iterator()) == [1, 2, 3]
    assert num_calls == 1
    assert not traced.is_stateful


def test_tables_variables_and_tensors_of_a_graph():
    with tf.Graph().as_default(), tf1.Session() as session:
        table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer([1, 2], [10, 20]), 0
        )
        variable = tf1.get_variable("v", [], use_resource=True)
        fed = tf1.placeholder_with_default(7, [])

        def looked_up(x):
            found = table.lookup(tf.cast(x, tf.int32))
            return found, variable, fed

        numbers = tf.data.Dataset.range(3)
        traced = TracedFunction(looked_up, numbers.element_spec, "map")
        iterator = tf1.data.make_initializable_iterator(
            numbers.map(traced.spread)
        )
        element = iterator.get_next()
        session.run([tf1.tables_initializer(), variable.assign(3.0)])
        session.run(iterator.initializer, {fed: 8})
        elements = [session.run(element) for _ in range(3)]
        assert elements == [(0, 3.0, 8), (10, 3.0, 8), (20, 3.0, 8)]
