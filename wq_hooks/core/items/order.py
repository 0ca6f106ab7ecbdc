"""The order of the items of one epoch, as a function of (seed, epoch, index).

    order = EpochOrder(num_items=6, shuffle=True, seed=7, epoch=0)
    [order[i] for i in range(6)]

Nothing is stored but the seed: a checkpoint needs no list, and ten million
items take no memory. The trap: the arithmetic below is part of the checkpoint
format, since a resumed epoch must come in the same order; do not "improve" it.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

_NUM_ROUNDS = 90
_BLOCK_SIZE = 8192


class EpochOrder:
    """A permutation of range(num_items), computed block by block.

    The shuffle is "swap-or-not" (Hoang, Morris and Rogaway, "An Enciphering
    Scheme Based on a Card Shuffle", CRYPTO 2012), which permutes a domain of
    any size by integer arithmetic alone; numpy's own random streams are not
    used, because they may change from one numpy to the next.

    Args:
      num_items: Number of items in the epoch, at least 1.
      shuffle: If False, the order is 0, 1, 2, ...
      seed: Any integer. Each (seed, epoch) gives an order of its own.
      epoch: Number of the epoch, from 0.
    """

    def __init__(self, num_items: int, *, shuffle: bool, seed: int, epoch: int):
        self._num_items = num_items
        self._shuffle = shuffle
        self._block_number = -1
        self._block: list[int] = []
        self._rounds = _round_keys(num_items, seed, epoch) if shuffle else None

    def __len__(self) -> int:
        return self._num_items

    def __getitem__(self, index: int) -> int:
        """Returns the work that comes at `index` of this epoch."""
        if not 0 <= index < self._num_items:
            raise IndexError(
                f"Expected 0 <= index < {self._num_items}; got {index}."
            )
        if self._rounds is None:
            return index
        block_number, offset = divmod(index, _BLOCK_SIZE)
        if block_number != self._block_number:
            start = block_number * _BLOCK_SIZE
            stop = min(start + _BLOCK_SIZE, self._num_items)
            self._block = self.range(start, stop).tolist()
            self._block_number = block_number
        return self._block[offset]

    def range(self, start: int, stop: int) -> npt.NDArray[np.int64]:
        """Returns the works at [start, stop) of this epoch, int64."""
        position = np.arange(start, stop, dtype=np.uint64)
        if self._rounds is None:
            return position.astype(np.int64)
        n = np.uint64(self._num_items)
        for pivot, salt in self._rounds:
            partner = (pivot + n - position) % n
            bits = _mix(np.maximum(position, partner) + salt)
            position = np.where(bits >> np.uint64(63), partner, position)
        return position.astype(np.int64)


class LongestFirst:
    """A permutation in which long items come first, else as in another.

    The longest processing time first keeps the tail short (Graham, "Bounds on
    Multiprocessing Timing Anomalies", SIAM J. Appl. Math. 1969).

    Args:
      order: Decides among items of one length.
      lengths: Lengths of the items, int64 [num_items]. All are held in memory.
    """

    def __init__(self, order: EpochOrder, lengths: npt.NDArray[np.int64]):
        items = order.range(0, len(order))
        ranks = np.argsort(-lengths[items], kind="stable")
        self._items = items[ranks]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> int:
        """Returns the work that comes at `index` of this epoch."""
        return int(self._items[index])

    def range(self, start: int, stop: int) -> npt.NDArray[np.int64]:
        """Returns the works at [start, stop) of this epoch, int64."""
        return self._items[start:stop]


def _round_keys(
    num_items: int, seed: int, epoch: int
) -> list[tuple[np.uint64, np.uint64]]:
    """Returns one (pivot below num_items, 64-bit salt) for each round."""
    keys = []
    for number in range(_NUM_ROUNDS):
        digest = hashlib.blake2b(
            f"{seed}/{epoch}/{number}".encode(), digest_size=16
        ).digest()
        pivot = int.from_bytes(digest[:8], "little") % max(num_items, 1)
        salt = int.from_bytes(digest[8:], "little")
        keys.append((np.uint64(pivot), np.uint64(salt)))
    return keys


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
