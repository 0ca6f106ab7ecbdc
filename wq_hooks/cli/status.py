"""Tell how a running queue is doing, without disturbing it.

    wq-hooks status --target grpc://10.0.0.7:2222 --watch
    wq-hooks status --target http://10.0.0.8:9100 --check

A parameter server is asked with TensorFlow, which takes seconds to load; the
metrics port of the chief is asked without. Exits with 0, or with 1 where there
is no such queue or no answer; with `--check`, with 3 if the queue stands still
and with 4 if a worker is slow.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from wq_hooks.cli import text
from wq_hooks.cli.arguments import number
from wq_hooks.core.monitoring.checked_state import checked_state
from wq_hooks.core.monitoring.schema import (
    phrases_of,
    secs_in_words,
    texts_of,
)
from wq_hooks.core.monitoring.slow_workers import slow_workers, word_of
from wq_hooks.core.monitoring.stall import is_stalled
from wq_hooks.errors import WorkQueueError
from wq_hooks.metrics.endpoint import STATUS_PATH
from wq_hooks.metrics.prometheus import text_of

# Exit codes of `--check`.
STALLED = 3
STRAGGLER = 4
_WATCH_SECS = 5.0
_LEAST_SECS = 0.001
_CLEAR = "\x1b[H\x1b[2J"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `wq-hooks status`."""
    parser.add_argument(
        "--target",
        required=True,
        metavar="URL",
        help="grpc://HOST:PORT of a parameter server, or of any task; or "
        "http://HOST:PORT of the chief's metrics port",
    )
    parser.add_argument(
        "--name",
        default="work_queue",
        help="of the queue (default: %(default)s)",
    )
    parser.add_argument(
        "--device",
        metavar="DEVICE",
        help="where the queue stands, such as /job:ps/task:1; default: "
        "looked for on the parameter servers",
    )
    parser.add_argument(
        "--container", default="", help="of the queue, if it has one"
    )
    parser.add_argument(
        "--watch",
        nargs="?",
        type=number(float, least=_LEAST_SECS),
        const=_WATCH_SECS,
        metavar="SECS",
        help=f"tell again every so many seconds (default: {_WATCH_SECS:g}), "
        "until all is done or ctrl-C",
    )
    parser.add_argument(
        "--limit",
        type=number(int),
        default=20,
        metavar="N",
        help="how many workers to list (default: %(default)s)",
    )
    parser.add_argument(
        "--timeout",
        type=number(float, least=_LEAST_SECS),
        default=20.0,
        metavar="SECS",
        help="how long to wait for an answer (default: %(default)s)",
    )
    parser.add_argument(
        "--format",
        choices=("text", "json", "prometheus"),
        default="text",
        help="(default: %(default)s)",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="exit with 3 if the queue stands still, with 4 if a worker is "
        "slow",
    )


def run(args: argparse.Namespace) -> int:
    """Prints the status; returns the exit code."""
    scheme, separator, _ = args.target.partition("://")
    if not separator or scheme not in ("grpc", "http", "https"):
        raise argparse.ArgumentTypeError(
            "Expected --target to be that of a server, such as "
            "grpc://10.0.0.7:2222, or of a metrics port, such as "
            f"http://10.0.0.8:9100; got {args.target!r}."
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        state = _follow(args, _Board if scheme == "grpc" else _Endpoint)
    except KeyboardInterrupt:
        return 0
    except WorkQueueError as e:
        text.complain("status", e)
        return 1
    return _check(state) if args.check else 0


def _check(raw: dict[str, Any]) -> int:
    state = checked_state(raw)
    if is_stalled(state):
        return STALLED
    return STRAGGLER if slow_workers(state) else 0


def _follow(
    args: argparse.Namespace, source: type[_Board | _Endpoint]
) -> dict[str, Any]:
    board = source(args)
    while True:
        status = _within(board.read, args.timeout, args.target)
        state = parse(status, args.name)
        if args.format == "json":
            text.write(json.dumps(state))
        elif args.format == "prometheus":
            text.write(text_of([state]))
        else:
            if args.watch and sys.stdout.isatty():
                sys.stdout.write(_CLEAR)
            text.write(in_words(state, time.time(), args.limit))
        sys.stdout.flush()
        is_done = state.get("remaining") == 0 and state.get("in_flight") == 0
        if args.watch is None or is_done or state.get("has_ended"):
            break
        time.sleep(args.watch)
    board.close()
    return state


class _Endpoint:
    """The metrics port of a chief; raises WorkQueueError for what goes wrong.

    Args:
      args: Arguments of the command.
    """

    def __init__(self, args: argparse.Namespace):
        self._args = args

    def read(self) -> str:
        """Returns the status."""
        args = self._args
        url = args.target.rstrip("/") + STATUS_PATH
        try:
            with urllib.request.urlopen(url, timeout=args.timeout) as answer:
                states = json.load(answer)
        except (OSError, ValueError) as e:
            raise WorkQueueError(
                f"Expected an answer of {url!r}; got {e!s:.300}"
            ) from e
        names = [str(state.get("name")) for state in states]
        if args.name not in names:
            known = ", ".join(map(text.printable, names)) or "none"
            raise WorkQueueError(
                f"Expected a work queue named {args.name!r}; there are: "
                f"{known}. Choose one by --name."
            )
        return json.dumps(states[names.index(args.name)])

    def close(self) -> None:
        """There is nothing to end."""


class _Board:
    """The board of a running queue; raises WorkQueueError for what goes wrong.

    Args:
      args: Arguments of the command.
    """

    def __init__(self, args: argparse.Namespace):
        import tensorflow as tf

        from wq_hooks.runtime.transport.board_reader import BoardReader

        self._args = args
        self._error = tf.errors.OpError
        self._silence = (
            tf.errors.DeadlineExceededError,
            tf.errors.UnavailableError,
        )
        self._make = BoardReader
        self._reader: Any = None

    def read(self) -> str:
        """Returns the status; connects when it is called first."""
        args = self._args
        try:
            if self._reader is None:
                self._reader = self._make(
                    args.target,
                    args.name,
                    device=args.device,
                    container=args.container,
                    timeout_secs=args.timeout,
                )
            return str(self._reader.read())
        except self._silence as e:
            raise _no_answer(args.target, args.timeout) from e
        except self._error as e:
            raise WorkQueueError(
                f"Expected an answer of {args.target!r}; got {e.message:.300}"
            ) from e

    def close(self) -> None:
        """Ends the session."""
        self._reader.close()


def _within(read: Callable[[], str], secs: float, target: str) -> str:
    """Returns what `read` returns; a server that is not there never answers."""
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def answer() -> None:
        try:
            answers.put(read())
        except Exception as e:
            answers.put(e)

    threading.Thread(target=answer, daemon=True).start()
    try:
        result = answers.get(timeout=secs)
    except queue.Empty as e:
        raise _no_answer(target, secs) from e
    if isinstance(result, Exception):
        raise result
    return str(result)


def _no_answer(target: str, secs: float) -> WorkQueueError:
    return WorkQueueError(
        f"Expected an answer of {target!r} within {secs:g} s; there was none. "
        "Is the server there, and its address right?"
    )


def parse(status: str, name: str) -> dict[str, Any]:
    """Returns the state that a chief has left on the board.

    Raises:
      WorkQueueError: If it is none.
    """
    try:
        state = json.loads(status)
    except ValueError:
        state = None
    if not isinstance(state, dict) or state.get("version") != 1:
        raise WorkQueueError(
            f"Expected the state of queue {name!r} on its board; its chief "
            "runs another version of wq_hooks, or has only just begun."
        )
    return state


def in_words(raw: dict[str, Any], now: float, limit: int) -> str:
    """Returns the state for a person.

    Args:
      raw: See `parse`.
      now: Time in seconds since 1970.
      limit: How many workers to list.
    """
    state = checked_state(raw)
    slow = slow_workers(state)
    texts, phrases = texts_of(state), phrases_of(state)
    age = max(now - (state["time"] or now), 0.0)
    of_total = "" if state["total"] is None else f" of {texts['total']}"
    rate = phrases["recent_items_per_sec"]
    if state["records"]:
        rate += f", {phrases['recent_records_per_sec']}"
    if state["eta_secs"] is not None:
        rate += f"; {phrases['eta_secs']}"
    ended = " (its chief has ended)" if raw.get("has_ended") else ""
    lines = [
        f"Queue {text.printable(str(raw.get('name')))}, "
        f"{secs_in_words(age)} ago{ended}",
        f"  completed      {texts['completed']}{of_total} "
        f"(epoch {texts['epoch']})",
        f"  in flight      {texts['in_flight']}",
        f"  remaining      {texts['remaining']}",
        f"  low watermark  {texts['low_watermark']}",
        f"  rate           {rate}",
        *_times(state),
    ]
    if state["repeated"] or state["given_up"]:
        again = f"{phrases['repeated']}, {phrases['given_up']}"
        lines.append(f"  again          {again}")
    rows = [
        (
            worker["name"],
            f"{worker['completed']:,}",
            "" if secs is None else secs_in_words(secs),
            worker["items"][0]["text"] if worker["items"] else "",
            secs_in_words(worker["items"][0]["held_secs"])
            if worker["items"]
            else "",
            secs_in_words(worker["last_heard_secs"]),
            _process_of(worker),
            word_of(worker, state, slow).upper(),
        )
        for worker in state["workers"][:limit]
        for secs in [worker["item_secs"]]
    ]
    head = (
        "WORKER",
        "ITEMS",
        "EACH",
        "CURRENT",
        "FOR",
        "HEARD",
        "PROCESS",
        "",
    )
    if rows:
        listed = text.table(head, rows)
        lines += ["", *(f"  {line}" for line in listed.splitlines())]
    if state["num_workers"] > len(rows):
        lines.append(f"  ... {state['num_workers'] - len(rows):,} more")
    return "\n".join([*lines, ""])


def _times(state: Mapping[str, Any]) -> list[str]:
    """Returns the lines of since when the job runs, and when it was done."""
    lines = []
    elapsed = state["elapsed_secs"]
    if state["started"] is not None:
        lines.append(f"  started        {_date(state['started'])}")
    if elapsed is not None:
        lines.append(f"  elapsed        {secs_in_words(elapsed)}")
    if state["ended"] is not None:
        lines.append(f"  ended          {_date(state['ended'])}")
    if state["since"] is not None and state["completed_before"]:
        lines.append(
            f"  resumed        {_date(state['since'])}; "
            f"{state['completed_before']:,} were completed before"
        )
    return lines


def _date(time_secs: float) -> str:
    try:
        moment = time.localtime(time_secs)
    except (OverflowError, OSError, ValueError):
        # A log, or a board, may say anything.
        return "?"
    return time.strftime("%Y-%m-%d %H:%M:%S", moment)


def _process_of(worker: Mapping[str, Any]) -> str:
    """Returns host and process id of a worker, "" if they are not known."""
    if worker["pid"] is None:
        return ""
    return f"{worker['host']}:{worker['pid']:.0f}"
