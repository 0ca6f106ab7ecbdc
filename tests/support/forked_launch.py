"""The command `wq-hooks`, whose tasks start in a moment; see forked.py.

python -m tests.support.forked_launch launch --workers=2 -- python train.py
"""

from __future__ import annotations

import sys

from tests.support import forked
from wq_hooks.cli import command_line

if __name__ == "__main__":
    with forked.clusters():
        sys.exit(command_line.main())
