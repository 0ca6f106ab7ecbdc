"""What a snapshot leaves out, since it is long: read from beside it.

A checkpoint names long lists (of works, of their sizes, of what was done) by
their fingerprints; `read_works` finds them. What is found is compared with its
fingerprint, so that a list of another job is an error. The file of a list is
compressed text (gzip), on each line a JSON list of some of its names.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from wq_hooks.core.items.plan import Masked, Segment, mask_of_lines
from wq_hooks.core.items.slicing import Slicing
from wq_hooks.core.items.works import fingerprint_of, unpack_names
from wq_hooks.core.position.snapshot import Snapshot
from wq_hooks.errors import SnapshotError

_PER_LINE = 1000
# Paths are much alike: to try harder takes longer and saves little.
_LEVEL = 1
_GZIP = 16 + zlib.MAX_WBITS


def file_of(names: Sequence[str]) -> Iterator[bytes]:
    """Yields the bytes of the file of a list, piece by piece."""
    stream = zlib.compressobj(_LEVEL, wbits=_GZIP)
    for first in range(0, len(names), _PER_LINE):
        line = json.dumps(list(names[first : first + _PER_LINE]))
        yield stream.compress(line.encode() + b"\n")
    yield stream.flush()


def list_in(file: bytes, path: str) -> list[str]:
    """Returns the list of a file.

    Args:
      file: Content of the file.
      path: Path of the file, for the error.

    Raises:
      SnapshotError: If the file is damaged.
    """
    names: list[str] = []
    try:
        # Line by line: decompressed as a whole it takes as much again.
        for line in gzip.GzipFile(fileobj=io.BytesIO(file)):
            names += json.loads(line)
    except (EOFError, OSError, TypeError, ValueError, zlib.error) as e:
        raise SnapshotError(
            "Expected the list of works that was kept beside a checkpoint; "
            f"{path!r:.300} is damaged: {e}. Copy it once more, list the same "
            "works as before, or ask to start over."
        ) from e
    return names


def with_masks(
    snapshot: Snapshot,
    read_works: Callable[[Snapshot], list[str] | None],
) -> Snapshot:
    """Returns the snapshot with the masks that are kept beside it."""

    def whole(segment: Segment) -> Segment:
        if not isinstance(segment, Masked) or segment.kept is None:
            return segment
        what = "which works were done"
        lines = _kept(snapshot, segment.kept, what, read_works)
        return replace(segment, mask=mask_of_lines(lines), kept=None)

    return replace(
        snapshot, segments=tuple(whole(s) for s in snapshot.segments)
    )


def read_slicings(
    snapshot: Snapshot,
    read_works: Callable[[Snapshot], list[str] | None],
) -> tuple[Slicing | None, ...]:
    """Returns the snapshot's slicings, with those that are kept beside it."""

    def read(slicing: Slicing | str | None) -> Slicing | None:
        if not isinstance(slicing, str):
            return slicing
        what = "the sizes of the works"
        return Slicing.from_list(_kept(snapshot, slicing, what, read_works))

    return tuple(read(slicing) for slicing in snapshot.slicings)


def read_names(
    snapshot: Snapshot,
    read_works: Callable[[Snapshot], list[str] | None],
) -> list[str]:
    """Returns the list of works that the snapshot was made of."""
    if snapshot.packed_works is not None:
        try:
            names: list[str] | None = unpack_names(snapshot.packed_works)
        except ValueError as e:
            raise SnapshotError(str(e)) from e
    else:
        names = read_works(snapshot)
    if names is None:
        raise SnapshotError(
            f"Expected the {snapshot.num_works} works that queue "
            f"{snapshot.name!r} was saved with (fingerprint "
            f"{snapshot.fingerprint}), or their list beside the checkpoint; "
            "the works have changed and the list was not found. List the "
            "same works, or ask to start over."
        )
    if fingerprint_of(names) != snapshot.fingerprint:
        raise SnapshotError(
            "Expected the list of works kept beside the checkpoint to have "
            f"fingerprint {snapshot.fingerprint}; it is damaged."
        )
    return names


def _kept(
    snapshot: Snapshot,
    fingerprint: str,
    what: str,
    read_works: Callable[[Snapshot], list[str] | None],
) -> list[str]:
    """Returns lines that are kept where a long list of works is."""
    lines = read_works(replace(snapshot, fingerprint=fingerprint))
    if lines is None or fingerprint_of(lines) != fingerprint:
        raise SnapshotError(
            f"Expected {what}, as queue {snapshot.name!r} was saved with them "
            f"(fingerprint {fingerprint}), beside the checkpoint; they were "
            "not found, or are damaged. Ask to start over."
        )
    return lines
