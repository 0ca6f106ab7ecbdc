"""Which tests `make test` leaves out: tests/slow_tests.txt.

marked(node_ids, read())
"""

from __future__ import annotations

from tests.support.paths import ROOT

PATH = ROOT / "tests" / "slow_tests.txt"


def read():
    """Returns [(start of node ids, how many of them are kept), ...]."""
    rows = []
    for line in PATH.read_text().splitlines():
        if line and not line.startswith("#"):
            start, _, num_kept = line.rpartition(" ")
            rows.append((start, int(num_kept)))
    return rows


def marked(node_ids, rows):
    """Returns those of the node ids that are left out."""
    rest = list(node_ids)
    slow = []
    for start, num_kept in rows:
        found = [node_id for node_id in rest if node_id.startswith(start)]
        num_kept = min(num_kept, len(found))
        kept = {found[i * len(found) // num_kept] for i in range(num_kept)}
        slow += [node_id for node_id in found if node_id not in kept]
        found = set(found)
        rest = [node_id for node_id in rest if node_id not in found]
    return slow
