"""Slices that are long at first and short towards the end: num_slices="auto".

    slicing = factor([10**6, 300, None], num_workers=8)

Long slices cost little, short ones make a short tail. The rule is factoring
(Hummel, Schonberg and Flynn, "Factoring: A Method for Scheduling Parallel
Loops", CACM 1992), a steadier form of guided self-scheduling (Polychronopoulos
and Kuck, IEEE Trans. Computers 1987): of what remains, a part is cut into one
slice for each worker, and so on, down to a least length. The part is an eighth,
where the paper has a half, since workers may be several times slower than
others: the one who begins with a long slice must not end after all the rest.

The trap: all is cut before the first slice is taken, since items wait in a
mailbox for any consumer that comes. A faster worker takes more of them; how
fast each one is does not change their lengths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from wq_hooks.core.items.slicing import Slicing

# The shortest slice is this part of a worker's fair share.
_SHARE = 256
_PART = 8


def factor(
    sizes: Sequence[int | None],
    num_workers: int,
    *,
    least: int = 1,
    in_order: bool = False,
) -> Slicing:
    """Returns slices of works by factoring.

    Args:
      sizes: Length of each work; None: it stays whole.
      num_workers: How many share the works; rather more than less.
      least: Length that no slice should be below, but a whole work.
      in_order: Whether they are handed out as listed: the last works are then
        cut into the short slices. Else the biggest works give the long ones,
        which `order.LongestFirst` lets come first.
    """
    counts = [1 if size is None else 0 for size in sizes]
    edges: dict[int, list[int]] = {}
    lengths = {i: size for i, size in enumerate(sizes) if size}
    remaining = sum(lengths.values())
    least = max(least, remaining // (num_workers * _SHARE), 1)
    length, left = 0, 0
    # Works of one size come as listed.
    for work in sorted(
        lengths, key=lambda i: (0 if in_order else -lengths[i], i)
    ):
        places = [0]
        while places[-1] < lengths[work]:
            if left == 0:
                length = max(least, -(-remaining // (_PART * num_workers)))
                left = num_workers
            rest = lengths[work] - places[-1]
            # A crumb goes along with the slice before it.
            taken = rest if rest < length + max(least, length // 2) else length
            places.append(places[-1] + taken)
            remaining -= taken
            left -= 1
        counts[work] = len(places) - 1
        edges[work] = places
    return Slicing(sizes, counts, edges)


def typical_num(num_workers: int) -> int:
    """Returns about how many slices there will be, before sizes are known."""
    # Batches until slices are of the least length, and what is left then.
    num_batches = math.log(_SHARE / _PART) / -math.log1p(-1 / _PART)
    return num_workers * (math.ceil(num_batches) + _PART)
