from __future__ import annotations

import os

import pytest

from wq_hooks.runtime.saving.position_file import PositionFile


def save(path, text, mtime):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    os.utime(path, (mtime, mtime))


@pytest.fixture(params=["file", "folder", "prefix", "fields"])
def weights(request, tmp_path):
    """(what is given, the file that changes)."""
    return {
        "file": (tmp_path / "w.h5", tmp_path / "w.h5"),
        "folder": (tmp_path / "backup", tmp_path / "backup" / "ckpt-1"),
        "prefix": (tmp_path / "w", tmp_path / "w.index"),
        "fields": (tmp_path / "w-{epoch:02d}.h5", tmp_path / "w-03.h5"),
    }[request.param]


def test_the_position_of_the_weights_is_found(weights):
    beside, file = weights
    position_file = PositionFile(beside)
    assert position_file.read() is None
    assert not position_file.has_changed()

    save(file, "one", 100)
    assert position_file.has_changed()
    assert not position_file.has_changed()
    position_file.write("P1")
    save(file, "two", 200)
    assert position_file.has_changed()
    position_file.write("P2")

    assert PositionFile(beside).read() == "P2"
    # Somebody has put the earlier weights back.
    save(file, "one", 100)
    assert PositionFile(beside).read() == "P1"


def test_after_a_kill_between_weights_and_position_the_older_one_counts(
    weights,
):
    beside, file = weights
    save(file, "one", 100)
    PositionFile(beside).write("P1")
    save(file, "two", 200)
    assert PositionFile(beside).read() == "P1"


def test_a_position_newer_than_the_weights_is_not_used(weights):
    beside, file = weights
    for mtime in (200, 300):
        save(file, str(mtime), mtime)
        PositionFile(beside).write(f"P{mtime}")
    save(file, "another", 250)
    assert PositionFile(beside).read() == "P200"
    save(file, "another", 100)
    assert PositionFile(beside).read() is None


def test_where_the_weights_are_gone_the_position_goes_too(weights):
    beside, file = weights
    save(file, "one", 100)
    PositionFile(beside).write("P1")
    file.unlink()

    assert PositionFile(beside).read() is None

    # The next run has saved weights and was killed.
    save(file, "another run", 500)
    assert PositionFile(beside).read() is None


def test_weights_that_were_there_before_are_no_change(tmp_path):
    save(tmp_path / "w.h5", "one", 100)
    position_file = PositionFile(tmp_path / "w.h5")
    assert not position_file.has_changed()
    save(tmp_path / "w.h5", "two", 200)
    assert position_file.has_changed()


def test_few_positions_are_kept(tmp_path):
    for i in range(10):
        save(tmp_path / "w.h5", str(i), i)
        PositionFile(tmp_path / "w.h5").write(f"P{i}" * 1000)
    assert os.path.getsize(PositionFile(tmp_path / "w.h5").path) < 8000
    assert [x.name for x in tmp_path.iterdir() if ".tmp" in x.name] == []


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "Expected positions as JSON"),
        ("[]", "Expected positions as JSON"),
        ('{"version": 2, "positions": []}', "Expected version 1"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, text, match):
    save(tmp_path / "w.h5", "one", 100)
    position_file = PositionFile(tmp_path / "w.h5")
    with open(position_file.path, "w", encoding="utf-8") as f:
        f.write(text)
    with pytest.raises(ValueError, match=match):
        position_file.read()


NAMES = ["run[lr=0.1]", "a*b", "what?", "[!a]", "a b"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["w.h5", "w.index", "w-03.h5", "ckpt/w"])
def test_a_path_is_no_pattern(tmp_path, name, kind):
    """Neither what it matches nor what would match it counts."""
    folder = tmp_path / name
    folder.mkdir()
    given = {"w.index": "w", "w-03.h5": "w-{epoch:02d}.h5", "ckpt/w": "ckpt"}
    beside = folder / given.get(kind, kind)
    save(folder / kind, "one", 100)
    other = tmp_path / "runl"
    save(other / "w.h5", "another", 900)
    PositionFile(beside).write("P1")
    assert PositionFile(beside).read() == "P1"
    position_file = PositionFile(beside)
    assert not position_file.has_changed()
    save(folder / kind, "two", 200)
    assert position_file.has_changed()


def test_no_position_is_taken_for_weights(tmp_path):
    """A field at the end of a path would match the file of positions, too."""
    position_file = PositionFile(tmp_path / "cp-{epoch:04d}")
    assert not position_file.has_changed()
    for epoch in (1, 2):
        prefix = f"cp-{epoch:04d}"
        save(tmp_path / f"{prefix}.data-00000-of-00001", prefix, 100 * epoch)
        save(tmp_path / f"{prefix}.index", prefix, 100 * epoch)
        assert position_file.has_changed()
        position_file.write(f"P{epoch}", epoch)
        assert not position_file.has_changed()
    read = PositionFile(tmp_path / "cp-{epoch:04d}")
    assert (read.read(), read.step) == ("P2", 2)
    # The later ones were not saved to the end.
    (tmp_path / "cp-0002.index").unlink()
    assert PositionFile(tmp_path / "cp-{epoch:04d}").read() == "P1"


@pytest.mark.parametrize(
    "beside",
    ["{epoch}/w.h5", "{epoch:02d}-{loss:.2f}/w-{batch}.h5", "{{a}}-{epoch}"],
)
def test_fields_anywhere(tmp_path, beside):
    position_file = PositionFile(tmp_path / beside)
    assert not position_file.has_changed()
    for epoch in (1, 2):
        path = tmp_path / beside.format(epoch=epoch, loss=0.5, batch=7)
        save(path, f"weights of {epoch}", 100 * epoch)
        assert position_file.has_changed()
        position_file.write(f"P{epoch}")
    assert PositionFile(tmp_path / beside).read() == "P2"
