"""The statement that a person has typed: of a notebook's cell, of a console.

    made_by = typed_statement()     # None in a program
    made_by.is_made_again_by(typed_statement())

A cell that is run again makes its queue again. Its code was compiled again,
so the code is another object, while what a loop or one block makes twice comes
of the same object. The trap: a notebook compiles the statements of a cell one
by one, so two queues of one cell differ in their lines alone.
"""

from __future__ import annotations

import os
import sys
import types
from dataclasses import dataclass


@dataclass(frozen=True)
class Statement:
    """A statement that was typed, once.

    Attributes:
      code: Its code, an object of its own each time that it is run.
      line: Line of its cell.
    """

    code: types.CodeType
    line: int

    def is_made_again_by(self, later: Statement) -> bool:
        """Whether the later one replaces what this one has made."""
        if later.code is self.code:
            return False
        is_same_cell = later.code.co_filename == self.code.co_filename
        return not is_same_cell or later.line == self.line


def typed_statement() -> Statement | None:
    """Returns the statement that is run now; None if a program runs."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "<module>" and _is_typed(frame):
            return Statement(frame.f_code, frame.f_lineno)
        frame = frame.f_back
    return None


def _is_typed(frame: types.FrameType) -> bool:
    # A notebook with a debugger writes its cells into files.
    in_notebook = "get_ipython" in frame.f_globals
    name = frame.f_code.co_filename
    # `python -c`, and what a program hands to `exec`, was not typed.
    return in_notebook or (name != "<string>" and not os.path.exists(name))
