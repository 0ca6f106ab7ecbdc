"""Smoke runs on versions of TensorFlow that CI does not run.

    python tools/test_versions.py            # all, one after the other
    python tools/test_versions.py 2.18 2.20  # some

Each gets a virtual environment of its own in a temporary directory, which is
removed behind its run. A line for each version says what came of it. The runs
take turns, at low priority; with downloads, about four minutes each.
"""

from __future__ import annotations

import argparse
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# TensorFlow -> the Python to run it with.
PYTHONS = {
    "2.15": "3.9",
    "2.16": "3.12",
    "2.17": "3.12",
    "2.18": "3.12",
    "2.19": "3.12",
    "2.20": "3.12",
    "2.21": "3.13",
}
# Core, eager mode, graph mode, records, the Keras callbacks with a kill, the
# tab; not Estimator, which TensorFlow 2.15 was the last to have.
TESTS = [
    "tests/core/ledger/test_ledger.py",
    "tests/engines/test_eager.py",
    "tests/hooks/test_work_queue_hook.py",
    "tests/runtime/process_ports/test_one_step_port.py",
    "tests/runtime/records/test_records.py",
    "tests/runtime/reading/test_file_readers.py",
    "tests/tensorboard_plugin/test_plugin.py",
    "tests/keras_callbacks/test_keras_callbacks.py",
]
# Of test_keras_callbacks.py only this; the others are run whole.
SELECTION = "not test_keras_callbacks or kill"
# TensorBoard up to 2.20 imports pkg_resources.
PACKAGES = ["pytest", "pytest-timeout", "hypothesis", "setuptools<82"]
# TensorFlow 2.20 asks for no upper bound, but writes graphs with an argument
# that protobuf 7 no longer has.
PINS = {"2.20": ["protobuf<7"]}


def find_python(version: str) -> str | None:
    """Returns the interpreter of a Python version, on PATH or of pyenv."""
    pyenv = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    pattern = os.path.join(pyenv, "versions", f"{version}.*", "bin", "python")
    on_path = shutil.which(f"python{version}")
    for candidate in filter(None, [on_path, *glob.glob(pattern)]):
        # A shim of pyenv is there for versions that are not switched on, too.
        done = subprocess.run(
            [candidate, "-c", ""], stderr=subprocess.DEVNULL, check=False
        )
        if done.returncode == 0:
            return candidate
    return None


def run(version: str) -> str:
    """Runs the tests on a version; returns what came of it."""
    interpreter = find_python(PYTHONS[version])
    if interpreter is None:
        return f"not run: no python{PYTHONS[version]} on PATH or of pyenv"
    with tempfile.TemporaryDirectory(prefix="wq-hooks-") as directory:
        python = os.path.join(directory, "bin", "python")
        commands = [
            [interpreter, "-m", "venv", directory],
            [
                *[python, "-m", "pip", "install", "-qq", "--no-cache-dir"],
                *[
                    "--disable-pip-version-check",
                    f"tensorflow-cpu~={version}.0",
                ],
                *PACKAGES,
                *PINS.get(version, []),
            ],
            # Warnings of versions that are not of CI are not ours to judge.
            [
                python,
                "-m",
                "pytest",
                "-q",
                "-W",
                "default",
                "-k",
                SELECTION,
                *TESTS,
            ],
        ]
        environ = dict(os.environ, CUDA_VISIBLE_DEVICES="")
        last = ""
        for command in commands:
            done = subprocess.run(
                ["nice", "-n", "10", *command],
                cwd=ROOT,
                env=environ,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            lines = done.stdout.strip().splitlines()
            # TensorFlow may log behind the summary of pytest.
            told = [x for x in lines if " passed" in x] or lines or [""]
            last = told[-1]
            if done.returncode:
                print(done.stdout[-6000:], flush=True)
                return f"failed: {last}"
        return last


def main() -> int:
    """Runs the versions that the arguments name."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "versions",
        nargs="*",
        metavar="version",
        help=f"of {', '.join(PYTHONS)}; none: all",
    )
    versions = parser.parse_args().versions or list(PYTHONS)
    unknown = sorted(set(versions) - set(PYTHONS))
    if unknown:
        parser.error(f"expected versions of {list(PYTHONS)}; got {unknown}")
    outcomes = {}
    for version in versions:
        begun = time.monotonic()
        outcomes[version] = run(version)
        print(
            f"TensorFlow {version}, Python {PYTHONS[version]}: "
            f"{outcomes[version]} ({time.monotonic() - begun:.0f} s)",
            flush=True,
        )
    return int(any("failed" in outcome for outcome in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
