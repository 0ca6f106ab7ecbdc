"""Reads the lines of text files and of slices of them as a dataset.

    dataset = queue.records(text_lines)
    dataset = queue.input_dataset().flat_map(text_lines)

The lines are those of tf.data.TextLineDataset.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from wq_hooks.readers.blocks import as_it_is, call_python, read_in_blocks
from wq_hooks.runtime.reading.file_readers import text_lines_of_file
from wq_hooks.sources import files
from wq_hooks.sources.text import BLOCK_BYTES, TextLines


@as_it_is
def text_lines(item: Any, *, num_header_lines: int = 0) -> Any:
    """Returns the lines of an item as a tf.data.Dataset of tf.string.

    Args:
      item: A tf.string scalar: the path of a file, or `path?start=A&end=B`
        for the lines that start in these bytes. Paths that end in .gz, .zz or
        .zlib are decompressed; they are read whole.
      num_header_lines: How many lines at the beginning of each file are no
        records.
    """

    def read_block(path: str, start: int, end: int) -> bytes:
        source = TextLines(path, num_header_lines=num_header_lines)
        return source.read_block(int(start), int(end))

    def lines_of(path: Any, start: Any, end: Any) -> Any:
        block = call_python(read_block, [path, start, end], tf.string, [])
        lines = tf.raw_ops.StringSplitV2(input=[block], sep="\n").values
        # What follows the last "\n" is no line.
        return lines[:-1]

    def read_whole(path: Any, compression: Any) -> Any:
        lines = text_lines_of_file(path, compression)
        return lines.skip(num_header_lines) if num_header_lines else lines

    return read_in_blocks(item, _blocks_of, lines_of, read_whole)


def _blocks_of(path: str, start: int, end: int | None) -> list[tuple[int, int]]:
    end = files.size_of(path) if end is None else end
    # All of a size: a small one at the end would cost as much as a large one.
    num_blocks = max(1, round((end - start) / BLOCK_BYTES))
    cuts = [start + (end - start) * i // num_blocks for i in range(num_blocks)]
    return [*zip(cuts, [*cuts[1:], end])] if start < end else []
