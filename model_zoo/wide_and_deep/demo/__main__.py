"""Shows on this machine what a work queue does: `make demo`.

    python -m model_zoo.wide_and_deep.demo --output_dir=demo_run

Trains Wide & Deep on a parameter server, a chief and two workers, of which one
is four times slower: from the work queue, then by a static split of the files;
then kills a job half-way with SIGKILL and resumes it. What was trained is
counted from lists that the tasks write batch by batch, and exit code 0 means
that the counts are as they should be.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from model_zoo.wide_and_deep.demo.acts import (
    FULL,
    QUICK,
    TRAINERS,
    Demo,
    DemoError,
)
from model_zoo.wide_and_deep.demo.job import JobFailedError

MARKER = ".made_by_demo"


def make_room(output_dir: str) -> None:
    """Makes an empty directory; removes nothing but an earlier demo.

    Raises:
      DemoError: If the directory holds other files.
    """
    marker = os.path.join(output_dir, MARKER)
    if os.path.isdir(output_dir) and os.listdir(output_dir):
        if not os.path.exists(marker):
            raise DemoError(
                "Expected --output_dir to be new, empty, or of an earlier "
                f"demo; {output_dir!r} holds other files."
            )
        shutil.rmtree(output_dir)
    os.makedirs(output_dir, exist_ok=True)
    with open(marker, "w", encoding="utf-8"):
        pass


def tensorboard_command(directory: str) -> str:
    """Returns the command that shows a directory."""
    program = os.path.join(os.path.dirname(sys.executable), "tensorboard")
    if not os.path.exists(program):
        program = "tensorboard"
    elif not os.path.relpath(program).startswith(os.pardir):
        program = os.path.relpath(program)
    return shlex.join([program, "--logdir", directory])


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the demo; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m model_zoo.wide_and_deep.demo",
        description="Shows on this machine what a work queue does.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--output_dir",
        default="demo_run",
        help="where to write; an earlier demo in it is replaced",
    )
    parser.add_argument(
        "--quick", action="store_true", help="as small as possible"
    )
    parser.add_argument(
        "--trainer",
        choices=TRAINERS,
        help="what trains; by default the first that TensorFlow allows",
    )
    args = parser.parse_args(argv)
    start = time.monotonic()
    for signum in (signal.SIGTERM, signal.SIGHUP):
        # Not the end at once, so that the tasks are ended before.
        signal.signal(signum, lambda signum, frame: sys.exit(128 + signum))
    try:
        make_room(args.output_dir)
        demo = Demo(
            args.output_dir, QUICK if args.quick else FULL, args.trainer
        )
        has_passed = demo.run()
    except KeyboardInterrupt:
        print("\nInterrupted; all processes have ended.", file=sys.stderr)
        return 128 + signal.SIGINT
    except (
        DemoError,
        JobFailedError,
        OSError,
        subprocess.SubprocessError,
    ) as e:
        print(f"\nThe demo has failed: {e}", file=sys.stderr)
        return 1
    if not has_passed:
        print("\nThe demo has failed: see FAILED above.", file=sys.stderr)
        return 1
    print(f"\n{time.monotonic() - start:.0f} s. To look at the level:\n")
    print(f"  {tensorboard_command(demo.queue_dir)}\n")
    print(f"The output of all tasks is in {demo.log_dir}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
