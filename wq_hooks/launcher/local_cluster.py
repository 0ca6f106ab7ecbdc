"""A cluster on this machine: one process per task, with TF_CONFIG set.

    with Cluster([sys.executable, "train.py"], num_workers=2) as cluster:
        cluster.start()
        returncodes = cluster.wait_for_job(timeout_secs=60)

POSIX only; does not import TensorFlow.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import re
import signal
import threading
from collections.abc import Mapping, Sequence
from typing import Callable

from wq_hooks.launcher.ports import ReservedPorts
from wq_hooks.launcher.process_group import Deadline, Guard, ProcessGroup

# The environment variable by which `slow` reaches a task.
SLOW_VARIABLE = "WQ_HOOKS_SLOW"


@dataclasses.dataclass(frozen=True)
class Line:
    """A line that a task wrote.

    Attributes:
      task: Name, such as "worker:1".
      stream: "stdout" or "stderr".
      text: The line, without its end.
    """

    task: str
    stream: str
    text: str


class Cluster:
    """Processes of one job: a chief, workers, parameter servers, an evaluator.

    A task is named by job and index: "chief:0", "worker:1". Each runs in a
    session of its own, and whatever is sent to a task goes to its whole process
    group, so that grandchildren end with it. Leaving the context ends them all,
    and so does the death of this process, even by SIGKILL.

    Args:
      command: The program and its arguments, the same for every task.
      num_ps: Number of parameter servers, >= 0.
      num_workers: Number of workers beside the chief, >= 0.
      has_evaluator: Whether there is an evaluator.
      slow: Task -> how many times slower than the others it is to be, >= 1. The
        task gets it in the environment variable `WQ_HOOKS_SLOW`, and has to
        honour it.
      env: Variables to add to the environment of every task.
      grace_secs: Seconds between SIGTERM and SIGKILL when tasks are ended.
      keep_lines: Whether to keep all output in memory, for `lines` and
        `wait_for_line`.
      on_line: Called with each `Line`, one at a time, in a thread.
      on_end: Called with task and return code when a task has ended and its
        output is complete, in a thread.

    Raises:
      ValueError: If a number is out of range, or a task does not exist.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        num_ps: int = 1,
        num_workers: int = 1,
        has_evaluator: bool = False,
        slow: Mapping[str, float] | None = None,
        env: Mapping[str, str] | None = None,
        grace_secs: float = 10.0,
        keep_lines: bool = True,
        on_line: Callable[[Line], None] | None = None,
        on_end: Callable[[str, int], None] | None = None,
    ) -> None:
        if not command or isinstance(command, str):
            raise ValueError(
                f"Expected command as a non-empty list; got {command!r}."
            )
        numbers = {"num_ps": num_ps, "num_workers": num_workers}
        for name, value in {**numbers, "grace_secs": grace_secs}.items():
            if not value >= 0:
                raise ValueError(f"Expected {name} >= 0; got {name}={value}.")
        sizes = {"ps": num_ps, "chief": 1, "worker": num_workers}
        served = [f"{job}:{i}" for job, n in sizes.items() for i in range(n)]
        self._tasks = (*served, *["evaluator:0"] * has_evaluator)
        self._slow = dict(slow or {})
        for task, factor in self._slow.items():
            self._check_task(task)
            if not 1 <= factor < float("inf"):
                raise ValueError(
                    f"Expected a factor >= 1 for {task}; got {factor:g}."
                )
        # As long as this object: a task may be started again.
        self._ports = ReservedPorts(len(served))
        self._addresses = {
            task: f"127.0.0.1:{port}"
            for task, port in zip(served, self._ports.numbers)
        }
        self._command = list(command)
        self._env = dict(env or {})
        self._grace_secs = grace_secs
        self._keep_lines = keep_lines
        self._on_line = on_line
        self._on_end = on_end
        self._guard: Guard | None = None
        self._changed = threading.Condition()
        self._line_lock = threading.Lock()
        # For each task that was started: its latest run, the return code of
        # that (None: it runs), and the lines of all its runs.
        self._processes: dict[str, ProcessGroup] = {}
        self._returncodes: dict[str, int | None] = {}
        self._lines: dict[str, list[Line]] = {task: [] for task in self._tasks}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._tasks)})"

    def __len__(self) -> int:
        return len(self._tasks)

    def __enter__(self) -> Cluster:
        self._exit = contextlib.ExitStack()
        self._guard = self._exit.enter_context(Guard())
        self._exit.callback(self.stop)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._guard = None
        self._exit.close()

    @property
    def tasks(self) -> tuple[str, ...]:
        """All tasks, in the order in which they are started."""
        return self._tasks

    @property
    def job_tasks(self) -> tuple[str, ...]:
        """The tasks that the job waits for: all but parameter servers."""
        return tuple(t for t in self._tasks if not t.startswith("ps:"))

    def environment(self, task: str) -> dict[str, str]:
        """Returns what is added to the environment of `task`."""
        self._check_task(task)
        cluster: dict[str, list[str]] = {}
        for served, address in self._addresses.items():
            cluster.setdefault(served.partition(":")[0], []).append(address)
        job, _, index = task.partition(":")
        config = {
            "cluster": cluster,
            "task": {"type": job, "index": int(index)},
        }
        # Lines of Python programs should come when they are printed.
        environment = {"PYTHONUNBUFFERED": "1", **self._env}
        environment["TF_CONFIG"] = json.dumps(config)
        if task in self._slow:
            environment[SLOW_VARIABLE] = f"{self._slow[task]:g}"
        return environment

    def start(self, *tasks: str, env: Mapping[str, str] | None = None) -> None:
        """Starts tasks, which may have run before; all if none is named.

        Args:
          *tasks: What to start.
          env: Variables to add to their environment this time.

        Raises:
          RuntimeError: If a task is running, or outside of the context.
          OSError: If the program cannot be executed.
        """
        if self._guard is None:
            raise RuntimeError("Expected start() inside of 'with cluster'.")
        # A factor from outside is not meant for every task.
        inherited = {k: v for k, v in os.environ.items() if k != SLOW_VARIABLE}
        for task in tasks or self._tasks:
            added = {**self.environment(task), **(env or {})}
            with self._changed:
                if self.is_running(task):
                    raise RuntimeError(
                        f"Expected {task} to have ended; "
                        f"it runs with pid {self.pid(task)}."
                    )
                self._processes[task] = ProcessGroup(
                    self._command,
                    {**inherited, **added},
                    self._guard,
                    functools.partial(self._add_line, task),
                    functools.partial(self._end, task),
                )
                self._returncodes[task] = None

    def pid(self, task: str) -> int:
        """Returns the pid, and process group, of the task's latest run."""
        self._check_started(task)
        return self._processes[task].pid

    def is_running(self, task: str) -> bool:
        """Whether the task was started and has not ended."""
        self._check_task(task)
        return task in self._returncodes and self._returncodes[task] is None

    def returncode(self, task: str) -> int | None:
        """Returns -n if signal n ended the task; None while it is running."""
        self._check_started(task)
        return self._returncodes[task]

    def kill(self, task: str, signum: int = signal.SIGKILL) -> None:
        """Sends a signal to the process group of a task, if it is running."""
        if self.is_running(task):
            self._processes[task].send_signal(signum)

    def kill_all(self, signum: int = signal.SIGKILL) -> None:
        """Sends a signal to everything that is running."""
        for task in self._tasks:
            self.kill(task, signum)

    def stop(self) -> None:
        """Ends everything: SIGTERM, and SIGKILL after `grace_secs`.

        Parameter servers come last: they hold what a chief saves at its end.
        """
        deadline = Deadline(self._grace_secs)
        servers = [t for t in self._tasks if t not in self.job_tasks]
        try:
            for tasks in (self.job_tasks, servers):
                for task in tasks:
                    self.kill(task, signal.SIGTERM)
                    # What is stopped does not see SIGTERM.
                    self.kill(task, signal.SIGCONT)
                self._wait_for_end(tasks, deadline)
        finally:
            self.kill_all()
            for process in list(self._processes.values()):
                process.join()

    def _wait_for_end(self, tasks: Sequence[str], deadline: Deadline) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: not any(map(self.is_running, tasks)),
                deadline.remaining_secs(),
            )

    def wait(self, task: str, timeout_secs: float | None = None) -> int:
        """Waits for the end of a task; returns its return code.

        Raises:
          TimeoutError: If it still runs after `timeout_secs` (None: no limit).
        """
        self._check_started(task)
        with self._changed:
            self._changed.wait_for(
                lambda: not self.is_running(task), timeout_secs
            )
            returncode = self._returncodes[task]
        if returncode is None:
            raise TimeoutError(
                f"Expected {task} to end within {timeout_secs} s."
                + self._last_lines(task)
            )
        return returncode

    def wait_for_job(self, timeout_secs: float | None = None) -> dict[str, int]:
        """Waits for all tasks but parameter servers; returns {task: code}.

        Raises:
          TimeoutError: As `wait`; `timeout_secs` is for all of them.
        """
        deadline = Deadline(timeout_secs)
        return {
            task: self.wait(task, deadline.remaining_secs())
            for task in self.job_tasks
        }

    def lines(self, task: str, stream: str | None = None) -> list[str]:
        """Returns what a task wrote in all its runs; stream=None: to both."""
        self._check_task(task)
        with self._changed:
            return [
                line.text
                for line in self._lines[task]
                if stream in (None, line.stream)
            ]

    def wait_for_line(
        self,
        task: str,
        pattern: str,
        timeout_secs: float | None = None,
        *,
        after: int = 0,
    ) -> re.Match[str]:
        """Waits for a line of a task; returns the match of its `pattern`.

        Args:
          task: A task that has been started.
          pattern: A regular expression, searched for in each line.
          timeout_secs: Seconds; None: without limit.
          after: How many of the task's `lines` to pass over.

        Raises:
          TimeoutError: If there is none after `timeout_secs`.
          RuntimeError: If the task has ended without one.
        """
        self._check_started(task)
        deadline = Deadline(timeout_secs)
        expected = f"Expected a line with {pattern!r} from {task}"
        with self._changed:
            while True:
                for line in self._lines[task][after:]:
                    match = re.search(pattern, line.text)
                    if match:
                        return match
                    after += 1
                if not self.is_running(task):
                    raise RuntimeError(
                        f"{expected}; it ended with {self.returncode(task)}."
                        + self._last_lines(task)
                    )
                if not self._changed.wait(deadline.remaining_secs()):
                    raise TimeoutError(
                        f"{expected} within {timeout_secs} s."
                        + self._last_lines(task)
                    )

    def _check_task(self, task: str) -> None:
        if task not in self._tasks:
            raise ValueError(
                f"Expected one of {', '.join(self._tasks)}; got task {task!r}."
            )

    def _check_started(self, task: str) -> None:
        self._check_task(task)
        if task not in self._returncodes:
            raise RuntimeError(f"Expected {task} to have been started.")

    def _last_lines(self, task: str) -> str:
        return "".join(f"\n  {text}" for text in self.lines(task)[-20:])

    def _add_line(self, task: str, stream: str, text: str) -> None:
        line = Line(task, stream, text)
        if self._keep_lines:
            with self._changed:
                self._lines[task].append(line)
                self._changed.notify_all()
        if self._on_line is not None:
            with self._line_lock:
                self._on_line(line)

    def _end(self, task: str, returncode: int) -> None:
        with self._changed:
            self._returncodes[task] = returncode
            self._changed.notify_all()
        if self._on_end is not None:
            self._on_end(task, returncode)
