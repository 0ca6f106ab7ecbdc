"""When a session's end is the end of the job, and when a task may leave.

    ends_job(has_ended_well=True, is_exhausted=False)      # False

These rules decide what the others do when the chief has gone. Without
TensorFlow.
"""

from __future__ import annotations

import json
from dataclasses import dataclass


def ends_job(
    *, has_ended_well: bool, is_exhausted: bool, is_last_step: bool
) -> bool:
    """Returns whether the others get the end of data when the chief leaves.

    | the chief's session ends | the others |
    | --- | --- |
    | at the end of data: nothing remains to be handed out | get the end |
    | in good order, at the global step that was asked for as the last one \
(`StopAtStepHook(last_step=...)`, `TrainSpec(max_steps=...)`) | get the end |
    | by an error, or the process was killed | wait for the next chief |
    | in good order, before both: a stop was asked for (a handler of SIGTERM, \
`StopAtStepHook(num_steps=...)`, another hook), the loop was left | wait for \
the next chief; but see `Stop.is_over` |

    A stop does not say whether the chief comes back. If it does and the others
    have gone, it trains the rest alone, and nobody notices; if it does not,
    the others say in a warning, each minute, for whom they wait.

    Args:
      has_ended_well: Whether the session has ended without an error.
      is_exhausted: Whether nothing remains to be handed out.
      is_last_step: Whether the global step is the last one of the job.
    """
    return has_ended_well and (is_exhausted or is_last_step)


@dataclass(frozen=True)
class Stop:
    """How a chief has left, before the end of data and in good order.

    Attributes:
      task: Its name.
      step: The global step; None: there is none.
      num_steps: How many steps its session was asked for, if so.
    """

    task: str
    step: int | None = None
    num_steps: int | None = None

    def to_text(self) -> str:
        """Returns the entry of the board."""
        return json.dumps([self.task, self.step, self.num_steps])

    @classmethod
    def from_text(cls, text: str) -> Stop:
        """Returns what an entry of the board says."""
        task, step, num_steps = json.loads(text)
        return cls(task, step, num_steps)

    def is_over(
        self, *, last_step: int | None, num_steps: int | None, step: int | None
    ) -> bool:
        """Returns whether another task would stop now as well.

        It waits inside a step for an item, where its own StopAtStepHook cannot
        see that the last step is reached; so it gets the end of data.

        Args:
          last_step: The global step at which its session stops, if so.
          num_steps: How many steps its session was asked for, if so.
          step: The present global step.
        """
        if num_steps is not None and num_steps == self.num_steps:
            # The same program: it has asked each task for as many.
            return True
        return last_step is not None and step is not None and step >= last_step
