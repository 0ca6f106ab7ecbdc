"""Engine: what a WorkQueue asks of the way in which it lives.

    class EagerEngine(Engine):
        mode = "eager"

        def take(self): ...

An engine refuses what it does not define, for the reason that `refusals` has.
What each method means stands in `wq_hooks.work_queue`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from wq_hooks.engines.refusals import refusal

if TYPE_CHECKING:
    from wq_hooks.core.chief.tasks import Task
    from wq_hooks.runtime.records.records import Records


class Refused:
    """A method that an engine of this mode does not have."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, engine: Any, owner: type) -> Any:
        if engine is None:
            return self
        raise refusal(engine, self._name)


_refused: Callable[[], Any] = Refused


class Engine:
    """How a queue lives.

    Attributes:
      mode: Name of the way, as in the table of reasons.
      name: Name of the queue.
      task: The task that this process is.
    """

    mode: str
    name: str
    task: Task

    take: Callable[[], Any] = _refused()
    input_producer: Callable[[], Any] = _refused()
    input_dataset: Callable[[], Any] = _refused()
    records: Callable[[Any, int], Records] = _refused()
    mark_trained: Callable[..., None] = _refused()
    dataset_creator: Callable[..., Any] = _refused()
    schedule_steps: Callable[..., Iterator[Any]] = _refused()
    schedule_items: Callable[..., Iterator[str]] = _refused()
    size: Callable[[], Any] = _refused()
    num_items: Callable[[], int] = _refused()
    works: Callable[[], list[str]] = _refused()
    add_summary: Callable[[], None] = _refused()
    add_works: Callable[[Any, int], None] = _refused()
    close_works: Callable[[], None] = _refused()
    num_added: Callable[[], int] = _refused()
    snapshot: Callable[[], str] = _refused()
    restore: Callable[[str], None] = _refused()
    serialize: Callable[[], str] = _refused()
    deserialize: Callable[[Any], None] = _refused()
    serve: Callable[..., int] = _refused()
    join: Callable[..., bool] = _refused()
    enter: Callable[[], None] = _refused()
    close: Callable[..., None] = _refused()
