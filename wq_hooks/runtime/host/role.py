"""Whether a task of a graph keeps the ledger.

role = Role(task, given=None)
role.heed(find_origin(session))
role.is_chief
"""

from __future__ import annotations

from wq_hooks.core.chief.tasks import Task
from wq_hooks.runtime.host.session_origin import SessionOrigin


class Role:
    """The role of this task.

    The first one that says something counts: the user, the creator of the
    session, the task.

    Args:
      task: The task.
      given: Value that the user gives; None: none.
    """

    def __init__(self, task: Task, given: bool | None):
        self._task = task
        self._given = given
        self.origin: SessionOrigin | None = None
        self.is_chief = self._find()

    @property
    def is_presumed_chief(self) -> bool:
        """Whether this task is the chief by convention alone."""
        return self.is_chief and self._task.is_presumed and self._given is None

    def give(self, is_chief: bool) -> None:
        """Notes what the user says."""
        self._given = is_chief
        self.is_chief = self._find()

    def heed(self, origin: SessionOrigin | None) -> None:
        """Notes where the session comes from that is there now."""
        self.origin = origin
        self.is_chief = self._find()

    def give_way(self) -> None:
        """Notes that another task is the chief of this session."""
        self.is_chief = False

    def _find(self) -> bool:
        if self._given is not None:
            return self._given
        if self.origin is not None and self.origin.is_chief is not None:
            return self.origin.is_chief
        return self._task.is_chief
