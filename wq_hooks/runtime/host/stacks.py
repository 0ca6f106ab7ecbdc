"""Which functions each thread of this process is in.

    for calls in calls_by_thread():
        if Call(filename, "wait_for_session") in calls: ...

The trap: while Python walks the frames of another thread, that thread runs on,
and a frame that has ended meanwhile can lead into freed memory (seen on 3.11).
`faulthandler` reads them all before any other thread runs Python.
"""

from __future__ import annotations

import faulthandler
import inspect
import re
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

# What the line begins with that is there for each thread.
_THREAD = ("Thread ", "Current thread ")
_CALL = re.compile(
    r'  File "(?P<filename>.*)", line (\d+|\?\?\?) in (?P<name>.*)'
)


class Call(NamedTuple):
    """A function that has been called and has not returned."""

    filename: str
    name: str


def call_of(function: Callable[..., Any]) -> Call:
    """Returns how a call of a function of Python is known.

    Args:
      function: The function; a method of the same name in the same file is
        not told from it.
    """
    code = inspect.unwrap(function).__code__
    return Call(code.co_filename, code.co_name)


def calls_by_thread() -> list[list[Call]]:
    """Returns the calls of each thread, the innermost first.

    `faulthandler` tells of 100 threads, the newest first, and of the 100
    innermost calls of each.
    """
    with tempfile.TemporaryFile("w+", errors="replace") as file:
        faulthandler.dump_traceback(file=file, all_threads=True)
        file.seek(0)
        threads: list[list[Call]] = []
        for line in file:
            if line.startswith(_THREAD):
                threads.append([])
            elif match := _CALL.match(line):
                threads[-1].append(Call(match["filename"], match["name"]))
    return threads
