"""Builds the distributions, checks them, and tries them as a user would.

    python tools/check_dist.py [--outdir=dist]

The wheel is made from the source distribution, so it holds what that holds.
Needs a network, as pip does.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

EAGER_EXAMPLE = """
import pathlib, tempfile
import tensorflow as tf
from wq_hooks import WorkQueue

directory = pathlib.Path(tempfile.mkdtemp())
for i in range(3):
    (directory / f"part-{i}.txt").write_text("a\\nb\\n")
queue = WorkQueue(sorted(str(p) for p in directory.iterdir()))
lines = queue.records(tf.data.TextLineDataset).to_dataset()
count = sum(1 for _ in lines)
assert count == 6, count
print(f"{count} records of {len(queue)} files")
"""


def main() -> int:
    """Runs all checks; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--outdir", type=Path, default=ROOT / "dist", help="(%(default)s)"
    )
    outdir = parser.parse_args().outdir
    for old in outdir.glob("wq_hooks-*"):
        old.unlink()
    with tempfile.TemporaryDirectory() as directory:
        tools = _environment(Path(directory) / "tools", "build", "twine")
        _run(tools, "-m", "build", "--outdir", outdir, ROOT)
        files = sorted(outdir.glob("wq_hooks-*"))
        _run(tools, "-m", "twine", "check", "--strict", *files)
        (wheel,) = outdir.glob("*.whl")
        (sdist,) = outdir.glob("*.tar.gz")
        _check_sdist(sdist)
        user = _environment(
            Path(directory) / "user", f"{wheel}[tensorflow,tensorboard]"
        )
        # Away from the tree, whose package would be found first.
        _run(user.parent / "wq-hooks", "--help", cwd=directory)
        _run(user, "-c", EAGER_EXAMPLE, cwd=directory)
    print(f"{wheel.name} and {sdist.name} are good.")
    return 0


def _check_sdist(sdist: Path) -> None:
    """Fails if a file of the repository is not in the source distribution."""
    listing = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True)
    with tarfile.open(sdist) as tar:
        packed = {name.partition("/")[2] for name in tar.getnames()}
    # How the repository itself is kept is nothing for a release.
    missing = [
        name
        for name in listing.splitlines()
        if name not in packed
        and name != ".gitignore"
        and not name.startswith(".github/")
    ]
    if missing:
        sys.exit(
            "Expected all files of the repository in the source distribution; "
            f"these are missing, see MANIFEST.in: {', '.join(missing)}."
        )


def _environment(directory: Path, *requirements: str) -> Path:
    """Returns the Python of a new environment."""
    venv.create(directory, with_pip=True)
    python = directory / "bin" / "python"
    _run(
        python, "-m", "pip", "install", "-qq", "--disable-pip-version-check",
        *requirements,
    )  # fmt: skip
    return python


def _run(*command: object, cwd: str | None = None) -> None:
    subprocess.run([str(word) for word in command], cwd=cwd, check=True)


if __name__ == "__main__":
    sys.exit(main())
