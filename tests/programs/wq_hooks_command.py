"""The command `wq-hooks`, as its script is installed."""

from __future__ import annotations

import sys

from wq_hooks.cli.command_line import main

if __name__ == "__main__":
    sys.exit(main())
