"""Positions where TensorFlow has no file system of their scheme."""

from __future__ import annotations

import fsspec
import pytest

from tests.cli.test_inspect import make_snapshot
from wq_hooks.cli import command_line
from wq_hooks.cli.remote_files import has_file_system


def test_local_paths_and_those_of_tensorflow_need_nothing():
    assert has_file_system("/model")
    assert has_file_system("file:///model")
    assert has_file_system("ram://model")
    assert not has_file_system("memory://model")


def test_fsspec_reads_a_snapshot(capsys):
    with fsspec.open("memory://job/position.json", "wb") as file:
        file.write(make_snapshot().to_json().encode())

    code = command_line.main(["inspect", "memory://job/position.json"])

    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert "Queue 'train' in memory://job/position.json\n" in printed.out


@pytest.mark.parametrize("path", ["memory://job", "memory://nowhere/x"])
def test_what_fsspec_cannot_read_takes_tensorflow_io(capsys, path):
    with fsspec.open("memory://job/position.json", "wb") as file:
        file.write(b"{}")

    assert command_line.main(["inspect", path]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert path in line
    assert "tensorflow-io" in line


def test_a_scheme_that_nobody_knows_is_one_line(capsys):
    assert command_line.main(["inspect", "nosuch://bucket/model"]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert "nosuch:// paths" in line
    assert "tensorflow-io" in line
