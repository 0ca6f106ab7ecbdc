"""A small file system of a directory's own, that can be filled up.

    with Disk("/tmp/run/model") as disk:
        disk.fill()                          # every write fails: ENOSPC
        disk.free()

Linux, as root. What is on it at the end stays in the directory.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from tests.chaos.commands import is_left_over, own_name, run_command

# A checkpoint has half a megabyte, and a run forty at most.
_SIZE = "96m"
_BLOCK_BYTES = (1 << 20, 1 << 12, 1)


class Disk:
    """A file system that is mounted inside of the context.

    Args:
      directory: An empty one.

    Raises:
      OSError: On entry, if this machine does not let us; it says why.
    """

    def __init__(self, directory):
        self._directory = Path(directory)
        self._ballast = self._directory / "ballast"

    def __enter__(self):
        for line in Path("/proc/self/mounts").read_text().splitlines():
            source, directory = line.split()[:2]
            if is_left_over(source):
                run_command("umount", directory)
        options = ["-t", "tmpfs", "-o", f"size={_SIZE}", own_name()]
        run_command("mount", *options, os.fspath(self._directory))
        return self

    def __exit__(self, *exc_info):
        self.free()
        kept = self._directory.with_suffix(".kept")
        shutil.copytree(self._directory, kept)
        run_command("umount", os.fspath(self._directory))
        self._directory.rmdir()
        kept.rename(self._directory)

    def fill(self):
        """Leaves no room for another byte."""
        with open(self._ballast, "wb", buffering=0) as file:
            for size in _BLOCK_BYTES:
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def free(self):
        """Makes room again."""
        self._ballast.unlink(missing_ok=True)
