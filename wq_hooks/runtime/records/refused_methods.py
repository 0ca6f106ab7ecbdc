"""What `Records` does not have, and what to do instead.

raise AttributeError(reason_against("cache"))
"""

from __future__ import annotations

NO_DATASET = (
    "Expected a dataset, such as records(...).batch(512).prefetch(1)"
    ".to_dataset(); got records without to_dataset() at the end."
)
_IN_READER = (
    "It goes into the reader, for each item: "
    "records(lambda path: TextLineDataset(path).{name}(...))."
)
_BEHIND = (
    "It goes after to_dataset(), with the batches: "
    "records(...).batch(512).to_dataset().{name}(...)."
)
_OF_ALL = {
    "as_numpy_iterator": _BEHIND,
    "concatenate": _BEHIND,
    "get_single_element": _BEHIND,
    "reduce": _BEHIND,
    "zip": "Zip what to_dataset() returns: "
    "tf.data.Dataset.zip((records(...).batch(512).to_dataset(), other)).",
    "cache": "No record comes twice from here. " + _IN_READER,
    "shard": "The queue gives each worker items of its own. " + _IN_READER,
}
_METHODS = (
    "apply, batch, bucket_by_sequence_length, cardinality, enumerate, filter, "
    "flat_map, group_by_window, ignore_errors, interleave, map, options, "
    "padded_batch, prefetch, ragged_batch, rebatch, shuffle, skip, take, "
    "take_while, unbatch and with_options"
)


def reason_against(name: str) -> str:
    """Returns the text of the error for a name that `Records` has not."""
    if name == "_variant_tensor":
        # What TensorFlow looks for in a dataset.
        return NO_DATASET
    fix = _OF_ALL.get(name, _IN_READER).format(name=name)
    return (
        f"Expected one of {_METHODS}, then to_dataset(), after records(...); "
        f"got {name!r}. {fix}"
    )
