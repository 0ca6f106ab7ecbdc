"""Start a cluster of processes on this machine and see a job through.

    wq-hooks launch --ps 1 --workers 2 -- python train.py --steps 1000

Each process gets its place in the cluster by TF_CONFIG; see
`wq_hooks.launcher.local_cluster.Cluster`.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import itertools
import os
import pathlib
import queue
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Callable, TextIO, Union

from wq_hooks.cli.arguments import number
from wq_hooks.launcher.local_cluster import Cluster, Line
from wq_hooks.launcher.slow_down import SlowDown

_USAGE = "%(prog)s [options] -- command [argument ...]"

_EPILOG = """\
A chief, the workers, the parameter servers and the evaluator run the same
command; each finds its place in the environment variable TF_CONFIG. The job is
over when all but the parameter servers have ended. The first that fails ends
the job, as do ctrl-C and SIGTERM, the parameter servers last; a second ctrl-C
kills at once.

The exit code is 0 if all have ended with 0, otherwise that of the first that
failed: 128 + n if signal n ended it, or this command.

example: a job with one worker four times slower than the others
  wq-hooks launch --ps 1 --workers 2 --slow worker:1=4 -- python train.py

That task is stopped and continued in turn (SIGSTOP, SIGCONT), so that it runs a
quarter of the time. What it sleeps or waits for passes meanwhile.
"""

_PS_HAS_ENDED = (
    "WARNING: {} has ended by itself, but a parameter server serves until it "
    "is stopped. Does the program heed TF_CONFIG? One that does not trains all "
    "data in each task. (A parameter server calls tf.distribute.Server.join().)"
)
# Cyan, yellow, green, magenta, blue: red is left to errors.
_COLORS = (36, 33, 32, 35, 34)


@dataclasses.dataclass(frozen=True)
class TaskEnded:
    """A task has ended; `returncode` is -n if signal n ended it."""

    task: str
    returncode: int


@dataclasses.dataclass(frozen=True)
class StopRequested:
    """Signal `signum` asks the whole job to end."""

    signum: int


Events = queue.SimpleQueue[Union[TaskEnded, StopRequested]]


class Console:
    """Writes whole lines, each after the name of its task.

    Args:
      stdout: Stream that the tasks' stdout is written to.
      stderr: Stream for the tasks' stderr and for the launcher's messages.
      on_broken: Called when the reader of one of the two is gone.
    """

    def __init__(
        self, stdout: TextIO, stderr: TextIO, on_broken: Callable[[], None]
    ) -> None:
        self._streams = {"stdout": stdout, "stderr": stderr}
        self._on_broken = on_broken
        self._lock = threading.Lock()
        colors = itertools.cycle(_COLORS)
        self._color_of_task: collections.defaultdict[str, int] = (
            collections.defaultdict(lambda: next(colors))
        )

    def write(self, line: Line) -> None:
        """Writes one line, at once."""
        stream = self._streams[line.stream]
        prefix = f"[{line.task}]"
        with self._lock:
            if _is_coloured(stream):
                color = self._color_of_task[line.task]
                prefix = f"\033[{color}m{prefix}\033[0m"
            text = f"{prefix} {line.text}\n"
            # What the terminal cannot show must not end the job.
            encoding = stream.encoding or "utf-8"
            text = text.encode(encoding, "replace").decode(encoding)
            try:
                stream.write(text)
                stream.flush()
            except BrokenPipeError:
                # As the standard library's documentation has it: or else
                # Python complains when it flushes at its end.
                devnull = os.open(os.devnull, os.O_WRONLY)
                os.dup2(devnull, stream.fileno())
                os.close(devnull)
                self._on_broken()

    def log(self, message: str) -> None:
        """Writes a line of the launcher itself."""
        self.write(Line("launch", "stderr", message))


class LogFiles(contextlib.ExitStack):
    """Writes each task's lines, of both streams, to `<job>_<index>.log`.

    A restarted task goes on in its file; files of an earlier job are replaced.
    The directory is made if need be.
    """

    def __init__(self, directory: pathlib.Path, tasks: Iterable[str]) -> None:
        super().__init__()
        directory.mkdir(parents=True, exist_ok=True)
        self._files = {}
        for task in tasks:
            path = directory / f"{task.replace(':', '_')}.log"
            file = path.open("w", encoding="utf-8")
            self._files[task] = self.enter_context(file)

    def write(self, line: Line) -> None:
        """Writes one line, at once."""
        file = self._files[line.task]
        file.write(line.text + "\n")
        file.flush()


def supervise(
    cluster: Cluster,
    events: Events,
    *,
    num_restarts: int = 0,
    log: Callable[[str], None] = lambda message: None,
) -> int:
    """Waits for the end of a job that has started; returns its exit code.

    What still runs then is left to the cluster's context.

    Args:
      cluster: The tasks; their ends come by `events`.
      events: Queue of the events to handle.
      num_restarts: How often each task is started again when it fails.
      log: Called with what there is to say.
    """
    pending = set(cluster.job_tasks)
    num_restarts_of: collections.Counter[str] = collections.Counter()
    while pending:
        event = events.get()
        if isinstance(event, StopRequested):
            name = signal.Signals(event.signum).name
            log(f"{name}: ending all tasks")
            return 128 + event.signum
        if event.returncode == 0:
            log(f"{event.task} has completed")
            if event.task.startswith("ps:"):
                log(_PS_HAS_ENDED.format(event.task))
            pending.discard(event.task)
            continue
        failure = f"{event.task} {_describe(event.returncode)}"
        if num_restarts_of[event.task] >= num_restarts:
            hint = "" if num_restarts else " (--restart N starts a task again)"
            log(f"{failure}; ending all tasks{hint}")
            return _exit_code(event.returncode)
        num_restarts_of[event.task] += 1
        cluster.start(event.task)
        log(
            f"{failure}; restart {num_restarts_of[event.task]} of "
            f"{num_restarts}, pid {cluster.pid(event.task)}"
        )
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `wq-hooks launch`."""
    parser.usage = _USAGE
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--ps",
        type=number(int),
        default=1,
        metavar="N",
        help="number of parameter servers (default: %(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=number(int),
        default=1,
        metavar="N",
        help="number of workers beside the chief (default: %(default)s)",
    )
    parser.add_argument(
        "--evaluator", action="store_true", help="start an evaluator, too"
    )
    parser.add_argument(
        "--slow",
        type=_slow_task,
        action="append",
        default=[],
        metavar="TASK=FACTOR",
        help="let a task run a FACTOR-th of the time; may be repeated",
    )
    parser.add_argument(
        "--restart",
        type=number(int),
        default=0,
        metavar="N",
        help="start a task that fails again, up to N times "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--grace-secs",
        type=number(float),
        default=10.0,
        metavar="SECS",
        help="time between SIGTERM and SIGKILL for tasks that have to end "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--log-dir",
        type=pathlib.Path,
        metavar="DIR",
        help="write each task's output to DIR/<job>_<index>.log, too",
    )
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, help="what each task runs"
    )


def run(args: argparse.Namespace) -> int:
    """Runs `wq-hooks launch`; returns the job's exit code."""
    # argparse leaves the "--" in front of a command.
    command = args.command[args.command[:1] == ["--"] :]
    if not command:
        raise argparse.ArgumentTypeError("Expected a command after --.")
    events: Events = queue.SimpleQueue()
    broken = StopRequested(signal.SIGPIPE)
    console = Console(sys.stdout, sys.stderr, lambda: events.put(broken))
    log_files: LogFiles | None = None

    def on_line(line: Line) -> None:
        console.write(line)
        if log_files is not None:
            log_files.write(line)

    try:
        cluster = Cluster(
            command,
            num_ps=args.ps,
            num_workers=args.workers,
            has_evaluator=args.evaluator,
            grace_secs=args.grace_secs,
            keep_lines=False,
            on_line=on_line,
            on_end=lambda task, code: events.put(TaskEnded(task, code)),
        )
        slow = _checked(args.slow, cluster)
    except ValueError as e:
        raise argparse.ArgumentTypeError(str(e)) from e
    with contextlib.ExitStack() as stack:
        try:
            if args.log_dir is not None:
                log_files = stack.enter_context(
                    LogFiles(args.log_dir, cluster.tasks)
                )
            stack.enter_context(_signals(events, cluster))
            stack.enter_context(cluster)
            cluster.start()
        except OSError as e:
            raise argparse.ArgumentTypeError(
                f"Cannot start the job: {e}"
            ) from e
        pids = (f"{task} (pid {cluster.pid(task)})" for task in cluster.tasks)
        stack.enter_context(SlowDown(cluster, slow))
        console.log(f"started {', '.join(pids)}")
        return supervise(
            cluster, events, num_restarts=args.restart, log=console.log
        )


@contextlib.contextmanager
def _signals(events: Events, cluster: Cluster) -> Iterator[None]:
    """Turns signals into events; from the second on they kill at once."""
    has_asked = False

    def handle(signum: int, frame: object) -> None:
        nonlocal has_asked
        if has_asked:
            cluster.kill_all()
        has_asked = True
        events.put(StopRequested(signum))

    handlers = {}
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # nohup ignores SIGHUP, and means it.
        is_nohup = signal.getsignal(signum) == signal.SIG_IGN
        if signum != signal.SIGHUP or not is_nohup:
            handlers[signum] = signal.signal(signum, handle)
    try:
        yield
    finally:
        for signum, handler in handlers.items():
            signal.signal(signum, handler)


def _is_coloured(stream: TextIO) -> bool:
    """Whether to colour: on a terminal, unless https://no-color.org is set."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def _describe(returncode: int) -> str:
    if returncode < 0:
        return f"was killed by {signal.Signals(-returncode).name}"
    return f"failed with exit code {returncode}"


def _exit_code(returncode: int) -> int:
    return 128 - returncode if returncode < 0 else returncode


def _checked(
    slow: Iterable[tuple[str, float]], cluster: Cluster
) -> dict[str, float]:
    """Returns the factors by task; raises ValueError."""
    for task, factor in slow:
        given = f"--slow {task}={factor:g}"
        if task not in cluster.tasks:
            raise ValueError(
                f"Expected one of {', '.join(cluster.tasks)}; got {given}."
            )
        if not 1 <= factor < float("inf"):
            raise ValueError(f"Expected a factor >= 1; got {given}.")
    return dict(slow)


def _slow_task(text: str) -> tuple[str, float]:
    task, _, factor = text.partition("=")
    try:
        return task, float(factor)
    except ValueError as e:
        raise argparse.ArgumentTypeError(
            f"Expected TASK=FACTOR, such as worker:1=4; got {text!r}."
        ) from e
