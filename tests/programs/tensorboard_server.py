"""A TensorBoard with the tab, also where the package is not installed.

    python -m programs.tensorboard_server LOGDIR [flags of tensorboard]

Prints its address, and ends with its standard input.
"""

from __future__ import annotations

import sys

from tensorboard import default, program

from wq_hooks.tensorboard_plugin.loader import WorkQueueLoader


def main() -> None:
    plugins = default.get_plugins()
    if WorkQueueLoader not in plugins:
        plugins.append(WorkQueueLoader)
    server = program.TensorBoard(plugins=plugins)
    logdir, *flags = sys.argv[1:]
    server.configure(
        argv=["tensorboard", "--logdir", logdir, "--port", "0", *flags]
    )
    print(server.launch(), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
