"""What the user lists: validation, prefix and fingerprint of the works.

    works = Works(["a.csv ", b"b.csv"], prefix="hdfs://data/")
    works.text(0)        # "hdfs://data/a.csv"

The trap: a prefix is joined in front as it is; no "/" is put in between.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

_CHUNK = 4096
_SEPARATOR = "\0"


class Works(Sequence[str]):
    """The works in the order in which they are listed.

    Args:
      works: A non-empty sequence of str, bytes, os.PathLike or sources (see
        `wq_hooks.sources`). Surrounding white space is stripped; duplicates
        are separate items.
      prefix: Joined in front of what is handed out, or None.

    Raises:
      TypeError: If `works` is no sequence, or a work is of a wrong type.
      ValueError: If `works` is empty, or a work is blank, or there is a
        prefix and a source, which has a complete name of its own.
    """

    def __init__(self, works: Sequence[Any], prefix: str | None = None):
        # A set has no order, or not the same one in each process.
        if isinstance(works, (str, bytes, Set, Mapping)) or not hasattr(
            works, "__len__"
        ):
            raise TypeError(
                "Expected works to be a sequence of str or bytes, such as "
                f"['a.csv', 'b.csv']; got {works!r:.200}."
            )
        if len(works) == 0:
            raise ValueError(
                "Expected at least one work; got works=[]. Did a pattern match "
                "no file?"
            )
        if prefix is not None and not isinstance(prefix, (str, bytes)):
            raise TypeError(
                f"Expected prefix to be str or None; got {prefix!r:.200}."
            )
        self.sources: dict[int, Any] = {}
        self._names = _names(works, self.sources)
        if prefix and self.sources:
            raise ValueError(
                f"Expected no prefix where works are sources; got {prefix!r}. "
                "Join it to their names."
            )
        self._prefix = "" if prefix is None else _decoded(prefix)
        self._fingerprint: str | None = None

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: Any) -> Any:
        return self._names[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __repr__(self) -> str:
        return f"Works({len(self)} works, first {self._names[0]!r:.80})"

    def text(self, index: int) -> str:
        """Returns what is handed out for the work at `index`."""
        return self._prefix + self._names[index]

    def joined(self, name: str) -> str:
        """Returns what is handed out for a work of another list."""
        return self._prefix + name

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits, equal for equal lists in equal order."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint_of(self._names)
        return self._fingerprint


def fingerprint_of(names: Sequence[str]) -> str:
    """Returns the fingerprint (32 hexadecimal digits) of a list of works."""
    digest = hashlib.blake2b(digest_size=16)
    for start in range(0, len(names), _CHUNK):
        chunk = names[start : start + _CHUNK]
        digest.update(encoded(_SEPARATOR.join(chunk) + _SEPARATOR))
    return digest.hexdigest()


def pack_names(names: Sequence[str]) -> str:
    """Returns the names as compressed text, for `unpack_names`."""
    packed = zlib.compress(encoded(_SEPARATOR.join(names)), 6)
    return base64.b64encode(packed).decode("ascii")


def unpack_names(packed: str) -> list[str]:
    """Returns what `pack_names` packed; raises ValueError if it is damaged."""
    try:
        data = zlib.decompress(base64.b64decode(packed, validate=True))
    except (binascii.Error, zlib.error) as e:
        raise ValueError(
            "Expected a packed list of works; it is damaged."
        ) from e
    return _decoded(data).split(_SEPARATOR)


def encoded(text: str) -> bytes:
    """Returns the bytes of a work's name, which may be none of UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def _decoded(text: str | bytes) -> str:
    if isinstance(text, str):
        if text.isascii():
            return text
        try:
            # The same text for the same bytes, as the fingerprint has it.
            text = encoded(text)
        except UnicodeEncodeError as e:
            raise ValueError(
                f"Expected text that UTF-8 can hold; got {text!r:.200}."
            ) from e
    return text.decode("utf-8", "surrogateescape")


def _names(works: Sequence[Any], sources: dict[int, Any]) -> list[str]:
    """Returns the names of works; notes those that are sources."""
    # Looking at each of ten million works would take five times as long.
    try:
        names = list(map(str.strip, works))
    except TypeError:
        names = []
    joined = _SEPARATOR.join(names)
    has_separator = joined.count(_SEPARATOR) != len(names) - 1
    if names and all(names) and joined.isascii() and not has_separator:
        return names
    names = []
    for index, work in enumerate(works):
        if hasattr(work, "count_records"):
            sources[index] = work
            work = getattr(work, "name", None)
        names.append(_name(work, index))
    return names


def _name(work: Any, index: int) -> str:
    if not isinstance(work, (str, bytes, os.PathLike)):
        raise TypeError(
            "Expected each work to be str, bytes or os.PathLike; got "
            f"works[{index}]={work!r:.200} of type {type(work).__name__}."
        )
    work = os.fspath(work)
    name = _decoded(work).strip()
    if not name:
        raise ValueError(
            f"Expected the name of a work; works[{index}]={work!r} is blank."
        )
    if _SEPARATOR in name:
        raise ValueError(
            f"Expected no NUL character in a work; got works[{index}]={work!r}."
        )
    return name
