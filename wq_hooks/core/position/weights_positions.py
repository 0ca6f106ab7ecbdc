"""The file of positions beside weights: its name, and what is in it.

    name_beside("model-{epoch:02d}.h5")      # "model-_.h5.work_queue.json"
    entries = entries_of(text, path)         # the newest first

`runtime/saving/position_file.py` matches them to the weights. Without
TensorFlow.

The trap: a path is no pattern, whatever characters it has. Only fields in
braces, which Keras fills in, stand for something else.
"""

from __future__ import annotations

import json
import os
import re
import string
from collections.abc import Sequence
from typing import Any, NamedTuple

SUFFIX = ".work_queue.json"
VERSION = 1


class Fields(NamedTuple):
    """What the fields in braces of a path make of it.

    Attributes:
      folder: The one that all the files are in; the path, where it has none.
      patterns: Pattern of each further part of their paths.
      name: A path that stands for all of them.
    """

    folder: str
    patterns: Sequence[re.Pattern[str]]
    name: str


def fields_of(path: str) -> Fields:
    """Returns what the fields in braces of a path make of it."""
    try:
        parsed = [_parsed(part) for part in path.split("/")]
    except ValueError:
        # Not what Keras could fill in.
        return Fields(path, (), path)
    firsts = [i for i, (_, _, has_field) in enumerate(parsed) if has_field]
    if not firsts:
        return Fields(path, (), path)
    first = firsts[0]
    names = [name for _, name, _ in parsed]
    folder = "/".join(names[:first]) or "/" * path.startswith("/")
    patterns = [re.compile(regex, re.DOTALL) for regex, _, _ in parsed[first:]]
    name = os.path.join(folder, "_".join(names[first:]))
    return Fields(folder, patterns, name)


def name_beside(path: str) -> str:
    """Returns the path of the file of positions for weights at a path."""
    return fields_of(path).name + SUFFIX


def is_beside(name: str, weights: str) -> bool:
    """Whether a file of positions is for weights; both without a folder."""
    stem = name[: -len(SUFFIX)]
    if not name.endswith(SUFFIX):
        return False
    # Each field has become a "_".
    regex = ".*".join(re.escape(part) for part in stem.split("_"))
    return re.fullmatch(regex, weights, re.DOTALL) is not None


def entries_of(text: str | bytes, path: str) -> list[dict[str, Any]]:
    """Returns what is in a file of positions, the newest first.

    Args:
      text: Content of the file.
      path: Path of the file, for errors.

    Raises:
      ValueError: If the file is none of ours.
    """
    try:
        value = json.loads(text)
        version, entries = value["version"], list(value["positions"])
    except (ValueError, TypeError, KeyError) as e:
        raise ValueError(
            f"Expected positions as JSON in {path}; got {text!r:.100}."
        ) from e
    if version != VERSION:
        raise ValueError(
            f"Expected version {VERSION} in {path}; got {version!r}."
        )
    return entries


def _parsed(part: str) -> tuple[str, str, bool]:
    """Returns a regular expression, a name, and whether there is a field."""
    regex = name = ""
    has_field = False
    for literal, field, _, _ in string.Formatter().parse(part):
        regex += re.escape(literal)
        name += literal
        if field is not None:
            has_field = True
            regex += ".*"
            name += "_"
    return regex, name, has_field
