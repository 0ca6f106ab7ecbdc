"""When a job began, and where its present ledger has gone on from.

origin = Origin(started=1700000000.0, since=1700003600.0, is_resumed=True)

Times of the wall clock, in seconds since 1970: they are shown, and nothing is
decided by them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """Where a ledger comes from.

    Attributes:
      started: Time when the job began, before all resumes; None: not known.
      since: Time when this ledger began; None: not known.
      is_resumed: Whether it goes on from a position.
      num_in_flight: Number of items that were in flight at that position.
      changes: What has changed of the arguments since, in words.
    """

    started: float | None = None
    since: float | None = None
    is_resumed: bool = False
    num_in_flight: int = 0
    changes: tuple[str, ...] = ()
