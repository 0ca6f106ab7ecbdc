"""A PostgreSQL server of the tests' own, where the programs are installed."""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import shutil
import subprocess
import tempfile

import pytest

_DEADLINE_SECS = 120


@pytest.fixture(scope="module")
def postgresql():
    """The URL of a server, less a table; skips where there can be none."""
    reason = why_no_postgresql()
    if reason:
        pytest.skip(reason)
    with running_server() as url:
        yield url


def why_no_postgresql():
    if find_programs() is None:
        return "no PostgreSQL server is installed (Debian: postgresql)"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed"
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        return "there is no user postgres to run a server as"
    return None


def find_programs():
    """Returns the folder of initdb and pg_ctl, or None."""
    found = shutil.which("pg_ctl")
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    return os.path.dirname(found) if found else (folders or [None])[-1]


@contextlib.contextmanager
def running_server():
    """Starts a server in a folder of its own; yields its URL, less a table."""
    programs = find_programs()
    # It refuses to run as root.
    user = None
    if os.getuid() == 0:
        user = pwd.getpwnam("postgres").pw_uid
    with tempfile.TemporaryDirectory(prefix="wq_pg_") as folder:
        if user is not None:
            os.chown(folder, user, -1)

        def run(program, *args):
            # To a file: the server keeps what it inherits open.
            with open(os.devnull, "w") as nowhere:
                subprocess.run(
                    [os.path.join(programs, program), *args],
                    check=True,
                    timeout=_DEADLINE_SECS,
                    stdout=nowhere,
                    stderr=nowhere,
                    cwd=folder,
                    user=user,
                )

        data = os.path.join(folder, "data")
        run("initdb", "-D", data, "-U", "tester", "-A", "trust", "-N")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder}"
        log = os.path.join(folder, "log")
        run(
            "pg_ctl", "-D", data, "-w", "-t", "100", "-l", log,
            "-o", options, "start",
        )  # fmt: skip
        try:
            yield f"postgresql://tester@/postgres?host={folder}"
        finally:
            run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
