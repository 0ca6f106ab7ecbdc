"""The position of a queue as versioned JSON: what a checkpoint keeps of it.

    text = snapshot.to_json()
    snapshot = Snapshot.from_json(text)

Its size grows with the items in flight, not with the items. Whatever is in it
is data: names of works and workers are never evaluated.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wq_hooks.core.items.added_works import Added
from wq_hooks.core.items.plan import (
    MAX_NUMBER,
    Segment,
    segment_from_json,
    segment_to_json,
    whole,
)
from wq_hooks.core.items.slicing import Slicing
from wq_hooks.core.items.works import pack_names, unpack_names
from wq_hooks.errors import SnapshotError

FORMAT = "wq_hooks.core.snapshot"
VERSION = 1


@dataclass(frozen=True)
class OpenItem:
    """An item that was handed out and not acknowledged at the time.

    Attributes:
      ticket: Number of the item in the order of issue.
      text: Name of the item, for people.
      holder: The consumer that held it, or None if nobody did.
      attempts: How often it had been leased.
    """

    ticket: int
    text: str
    holder: str | None
    attempts: int


@dataclass(frozen=True)
class Snapshot:
    """The position of one queue.

    Attributes:
      name: The queue's name.
      segments: Rest of the plan; see `wq_hooks.core.items.plan`.
      next_ticket: The first ticket that nobody has taken an item of yet.
      outstanding: The items below `next_ticket` that are not completed, by
        ticket; the rest below `next_ticket` is.
      given_up: [(ticket, name), ...] of items counted as completed because
        they failed `max_attempts` times.
      num_works: Length of the list of works.
      fingerprint: Fingerprint of the list of works.
      packed_works: The list itself (`works.pack_names`) if it is short, or
        None.
      sidecar_directory: Directory of the long lists, or None.
      slicings: How the works are cut: what the segments' `slicing` points
        into. None: whole. A fingerprint stands for a long one, which is kept
        where a long list of works is.
      num_slices: Number of slices that the last of them was made for.
      added: Works that were added while the queue ran; None: it was not open.
      started: Time when the job began, in seconds since 1970; None: not known.
    """

    name: str
    segments: tuple[Segment, ...]
    next_ticket: int
    outstanding: tuple[OpenItem, ...]
    given_up: tuple[tuple[int, str], ...]
    num_works: int
    fingerprint: str
    packed_works: str | None = None
    sidecar_directory: str | None = None
    slicings: tuple[Slicing | str | None, ...] = (None,)
    num_slices: int | str | None = None
    added: Added | None = None
    started: float | None = None

    @property
    def low_watermark(self) -> int:
        """Every item before this ticket is completed."""
        return min(
            (item.ticket for item in self.outstanding),
            default=self.next_ticket,
        )

    @property
    def completed(self) -> int:
        """Number of items that are completed."""
        return self.next_ticket - len(self.outstanding)

    def to_json(self) -> str:
        """Returns the snapshot as one line of JSON."""
        body = {
            **vars(self),
            "segments": [segment_to_json(s) for s in self.segments],
            "outstanding": [list(vars(i).values()) for i in self.outstanding],
            "slicings": [_slicing_to_json(s) for s in self.slicings],
            "added": _added_to_json(self.added),
        }
        checked = {"checksum": _checksum(body), "body": body}
        return json.dumps({"format": FORMAT, "version": VERSION, **checked})

    @classmethod
    def from_json(cls, text: str | bytes) -> Snapshot:
        """Returns the snapshot that `to_json` wrote.

        Raises:
          SnapshotError: If the text is damaged, no snapshot at all, or
            written by a newer version of the package.
        """
        body = _body(text)
        try:
            return cls(
                name=str(body["name"]),
                segments=tuple(segment_from_json(s) for s in body["segments"]),
                next_ticket=whole(body["next_ticket"]),
                outstanding=tuple(
                    OpenItem(whole(ticket), str(name), holder, whole(attempts))
                    for ticket, name, holder, attempts in body["outstanding"]
                ),
                given_up=tuple((whole(t), str(n)) for t, n in body["given_up"]),
                num_works=whole(body["num_works"]),
                fingerprint=str(body["fingerprint"]),
                packed_works=body["packed_works"],
                sidecar_directory=body["sidecar_directory"],
                slicings=tuple(_slicing_from_json(s) for s in body["slicings"]),
                num_slices=body["num_slices"],
                added=_added_from_json(body["added"]),
                started=_time_from_json(body.get("started")),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as e:
            raise SnapshotError(
                f"Expected a snapshot of a work queue; a part of it is "
                f"damaged or missing: {e!r:.200}."
            ) from e


def sidecar_name(name: str, fingerprint: str) -> str:
    """Returns the name of the file that keeps a long list."""
    return f"{name.replace('/', '_')}-{fingerprint}.works"


def _body(text: str | bytes) -> Mapping[str, Any]:
    """Returns the checked inside of a snapshot's JSON."""
    try:
        document = json.loads(text)
    except (ValueError, TypeError, RecursionError) as e:
        raise SnapshotError(
            f"Expected the JSON of a snapshot; got {text!r:.80}."
        ) from e
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise SnapshotError(
            f"Expected a snapshot of format {FORMAT!r}; got {text!r:.80}."
        )
    version = document.get("version")
    if version != VERSION or isinstance(version, bool):
        raise SnapshotError(
            f"Expected a snapshot of version {VERSION}; got version "
            f"{version!r:.80}. Read it with the wq_hooks that wrote it."
        )
    body = document.get("body")
    if not isinstance(body, dict) or document.get("checksum") != _checksum(
        body
    ):
        raise SnapshotError(
            "Expected a snapshot whose checksum fits; it is damaged: "
            f"{text!r:.80}."
        )
    return body


def _slicing_to_json(slicing: Slicing | str | None) -> Any:
    if slicing is None or isinstance(slicing, str):
        return slicing and {"kept": slicing}
    return {"packed": pack_names(slicing.to_list())}


def _slicing_from_json(value: Any) -> Slicing | str | None:
    if value is None:
        return None
    if "kept" in value:
        return str(value["kept"])
    return Slicing.from_list(unpack_names(value["packed"]))


def _added_to_json(added: Added | None) -> Any:
    if added is None:
        return None
    # Priorities as [priority, how many] in turn.
    groups = itertools.groupby(added.priorities)
    return {
        **vars(added),
        "names": pack_names(added.names) if added.names else "",
        "priorities": [[p, len(list(group))] for p, group in groups],
    }


def _added_from_json(value: Any) -> Added | None:
    if value is None:
        return None
    packed = str(value["names"])
    names = tuple(unpack_names(packed)) if packed else ()
    groups = [(p, whole(num)) for p, num in value.get("priorities", ())]
    if groups and sum(num for _, num in groups) != len(names):
        raise ValueError(f"priorities of other than {len(names)} works")
    return Added(
        begin=whole(value["begin"]),
        first_ticket=whole(value["first_ticket"]),
        names=names,
        num_added=whole(value["num_added"]),
        log=str(value["log"]),
        num_logged=whole(value["num_logged"]),
        priorities=tuple(
            whole(priority, least=-MAX_NUMBER)
            for priority, num in groups
            for _ in range(num)
        ),
    )


def _time_from_json(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"a time {value!r:.40}")
    return float(value)


def _checksum(body: Mapping[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True).encode()
    return hashlib.blake2b(text, digest_size=8).hexdigest()
