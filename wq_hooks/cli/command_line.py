"""The command `wq-hooks`.

    wq-hooks launch --workers 2 -- python train.py

Each subcommand is a module, which must not import TensorFlow at import: the
command should answer at once, and also where there is no TensorFlow.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Protocol

from wq_hooks._version import __version__
from wq_hooks.cli import inspect, launch, status, text

_NO_TENSORFLOW = (
    "Expected TensorFlow to be installed; there is none. Install "
    "wq-hooks[tensorflow], or a TensorFlow of your own."
)


class Subcommand(Protocol):
    """What the module of a subcommand has. Its first line is its help."""

    __doc__: str | None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Adds its arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Returns the exit code.

        Raises:
          argparse.ArgumentTypeError: If arguments do not fit together; ends
            with the usage and exit code 2.
        """


_SUBCOMMANDS: dict[str, Subcommand] = {
    "launch": launch,
    "inspect": inspect,
    "status": status,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; quietly where its reader has had enough.

    Args:
      argv: The arguments, without the program's name; None: those of the
        process.

    Returns:
      The exit code.

    Raises:
      SystemExit: With 2 if the arguments are wrong, with 0 after `--help` and
        `--version`.
    """
    code = 0
    try:
        try:
            code = _run(argv)
        finally:
            # Not at the exit of Python, where nobody could catch it.
            sys.stdout.flush()
    except BrokenPipeError:
        # As in `wq-hooks inspect ... | head -1`. What is left goes nowhere.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    if argv is None and "tensorflow_io" in sys.modules:
        # Its file systems abort the process where Python ends in order.
        sys.stderr.flush()
        os._exit(code)
    return code


def _run(argv: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(
        prog="wq-hooks",
        description="A global work queue for TensorFlow training.",
    )
    parser.add_argument(
        "--version", action="version", version=f"%(prog)s {__version__}"
    )
    subparsers = parser.add_subparsers(
        dest="subcommand", metavar="subcommand", required=True
    )
    parser_of = {}
    for name, subcommand in _SUBCOMMANDS.items():
        title = (subcommand.__doc__ or "").partition("\n")[0]
        parser_of[name] = subparsers.add_parser(
            name, help=title, description=title, allow_abbrev=False
        )
        subcommand.add_arguments(parser_of[name])
    _complete(parser)
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        # With the usage of the subcommand.
        parser_of[args.subcommand].error(
            f"unrecognized arguments: {' '.join(unknown)}"
        )
    try:
        return _SUBCOMMANDS[args.subcommand].run(args)
    except ModuleNotFoundError as e:
        if (e.name or "").partition(".")[0] != "tensorflow":
            raise
        text.complain(args.subcommand, _NO_TENSORFLOW)
        return 1
    except argparse.ArgumentTypeError as e:
        parser_of[args.subcommand].error(str(e))


def _complete(parser: argparse.ArgumentParser) -> None:
    """Answers a shell that asks for completions, if argcomplete is there.

    In bash or zsh: eval "$(register-python-argcomplete wq-hooks)"
    """
    with contextlib.suppress(ImportError):
        import argcomplete

        argcomplete.autocomplete(parser)


if __name__ == "__main__":
    sys.exit(main())
