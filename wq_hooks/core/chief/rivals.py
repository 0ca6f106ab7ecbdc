"""Two chiefs of one queue: which of them stays.

    newcomer = Newcomer("train", "chief:0", own_generations=())
    while not newcomer.may_begin(chief, generation, beat, now=t):   # the board
        ...                                                 # look again soon
    meet_other_chief("train", "chief:0", other)             # of one that feeds

A chief that lives says so on the board, several times in a second. One that
wants to begin gives way to it. Where the beat stands still, that chief has
died, or is stopped, and the next one begins; a chief that was stopped finds
another generation on the board when it wakes up, and ends. The one exception is
a chief by convention alone, which always gives way; see
`wq_hooks.core.chief.tasks`.
"""

from __future__ import annotations

from collections.abc import Collection

from wq_hooks.core import log as logging
from wq_hooks.core.protocol import messages
from wq_hooks.errors import TwoChiefsError

# A chief whose beat has stood still for so long does not live.
SILENT_SECS = 5 * messages.BEAT_SECS


class Newcomer:
    """A chief that wants to begin.

    Args:
      name: Name of the queue.
      who: The chief; see `messages.chief_text`.
      own_generations: Generations of its own earlier sessions.
    """

    def __init__(
        self, name: str, who: str, own_generations: Collection[str] = ()
    ):
        self._name = name
        self._who = who
        self._own_generations = own_generations
        self._seen: tuple[str, str] | None = None
        self._since = 0.0

    def may_begin(
        self, chief: str, generation: str, beat: str, now: float
    ) -> bool:
        """Returns whether no chief lives; False: that is to be seen yet.

        Args:
          chief: Entry of the board; see `messages.chief_text`.
          generation: Entry of the board.
          beat: Entry of the board.
          now: Time in seconds.

        Raises:
          TwoChiefsError: If another chief lives, which stays.
        """
        other, is_presumed = messages.parse_chief(chief)
        _, is_own_presumed = messages.parse_chief(self._who)
        if (
            not other
            or generation in ("", messages.NOBODY, *self._own_generations)
            or (is_presumed and not is_own_presumed)
        ):
            return True
        if self._seen is None:
            self._seen, self._since = (generation, beat), now
        if self._seen != (generation, beat):
            raise two_chiefs_error(self._name, self._who, chief, "feeds it")
        return now - self._since >= SILENT_SECS


def meet_other_chief(name: str, who: str, other: str) -> None:
    """Decides whether a chief stays that finds another one on the board.

    Args:
      name: Name of the queue.
      who: The chief; see `messages.chief_text`.
      other: What the board says of the other one, which began later.

    Raises:
      TwoChiefsError: If the chief is to end.
    """
    other_name, is_presumed = messages.parse_chief(other)
    own_name, is_own_presumed = messages.parse_chief(who)
    if not is_presumed or is_own_presumed:
        raise two_chiefs_error(name, who, other, "has begun to feed it")
    logging.warning(
        "Work queue %s: %s takes itself for the chief, since its TF_CONFIG "
        "and session name none; the chief is %s, and goes on. Give all "
        "tasks the same cluster in TF_CONFIG.",
        name,
        other_name,
        own_name,
    )


def two_chiefs_error(
    name: str, who: str, other: str, what_it_does: str
) -> TwoChiefsError:
    """Returns the error of a chief that ends, since there is another one."""
    other_name, _ = messages.parse_chief(other)
    own_name, _ = messages.parse_chief(who)
    return TwoChiefsError(
        f"Expected to be the only chief of work queue {name!r}; another "
        f"process ({other_name or 'unknown'}) {what_it_does}, and this one is "
        f"{own_name or 'unknown'}. Give the queue a name or container of its "
        "own, or is_chief=False on all tasks but one; where TF_CONFIG tells, "
        "give all tasks the same cluster. Or was this task started twice?"
    )
