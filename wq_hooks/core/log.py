"""The log of the package, by Python's own logging.

    from wq_hooks.core import log as logging

    logging.info("Work queue %s: ...", name)

Its verbosity is absl's, which TensorFlow's users set:
`absl.logging.set_verbosity(absl.logging.INFO)`. absl's own functions are not
called: the first of them gives Python's root logger a handler, where there is
none, and from then on each line of TensorFlow would come twice, since its
logger has a handler already.
"""

from __future__ import annotations

import logging
import sys

INFO = logging.INFO
WARNING = logging.WARNING


class _Fallback(logging.Handler):
    """Writes to the standard error what no other handler would write."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a line, unless a logger above has a handler."""
        above = _logger.parent
        if above is None or not above.hasHandlers():
            sys.stderr.write(self.format(record) + "\n")


_logger = logging.getLogger("absl.wq_hooks")
_said: set[str] = set()
_handler = _Fallback()
_handler.setFormatter(logging.Formatter("%(levelname)s:wq_hooks:%(message)s"))
_logger.addHandler(_handler)

debug = _logger.debug
info = _logger.info
warning = _logger.warning
error = _logger.error
exception = _logger.exception
log = _logger.log


def warning_once(text: str, *args: object) -> None:
    """Logs a warning the first time that its format is given, once only."""
    if text not in _said:
        _said.add(text)
        warning(text, *args)
