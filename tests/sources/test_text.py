from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wq_hooks.errors import SourceError
from wq_hooks.sources import TextLines

CONTENT = st.lists(
    st.sampled_from(
        [
            b"\n",
            b"\r\n",
            b"\r",
            b"a",
            b"bc,d",
            "日本".encode(),
            b"\xff\0",
            b"\0",
            b"\x0b\x0c\x1c",
            "\u2028\x85".encode(),
            b"\xef\xbb\xbf",
            # Longer than what is read at a time behind a slice.
            b"x" * 5000,
        ]
    ),
    max_size=40,
).map(b"".join)


def lines_of(content):
    """What TextLineDataset makes of a file, by other means."""
    *lines, last = content.replace(b"\r", b"").split(b"\n")
    return [*lines, last] if last else lines


@st.composite
def cuts(draw, size):
    inner = draw(st.lists(st.integers(0, size), max_size=8))
    return [0, *sorted(inner), size]


@given(st.data(), CONTENT, st.integers(0, 3))
@settings(max_examples=300, deadline=None)
def test_all_slices_are_the_whole(tmp_path_factory, data, content, num_header):
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    path.write_bytes(content)
    source = TextLines(str(path), num_header_lines=num_header)
    assert source.count_records() == len(content)
    edges = data.draw(cuts(len(content)))
    read = [
        line
        for start, end in zip(edges, edges[1:])
        for line in source.read(start, end)
    ]
    assert read == lines_of(content)[num_header:]


def test_a_line_belongs_to_the_slice_in_which_it_starts(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"aaa\nbbb\nccc")
    source = TextLines(str(path))
    assert list(source.read(0, 4)) == [b"aaa"]
    assert list(source.read(0, 5)) == [b"aaa", b"bbb"]
    assert list(source.read(5, 8)) == []
    assert list(source.read(8, 9)) == [b"ccc"]


def test_long_lines_and_many_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("wq_hooks.sources.text.BLOCK_BYTES", 1000)
    path = tmp_path / "a.txt"
    lines = [b"%d" % i * (i % 7000) for i in range(0, 30000, 611)]
    path.write_bytes(b"\n".join(lines))
    source = TextLines(str(path))
    size = source.count_records()
    assert list(source.read(0, size)) == lines
    half = size // 2
    assert [*source.read(0, half), *source.read(half, size)] == lines


def test_a_file_that_has_shrunk_is_named(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"aaa\nbbb\n")
    source = TextLines(str(path))
    size = source.count_records()
    path.write_bytes(b"aaa\n")
    with pytest.raises(SourceError, match=r"at least 8 bytes in .*a\.txt"):
        list(source.read(4, size))


def test_what_fails_while_it_is_read_is_named(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_bytes(b"aaa\nbbb\n")

    class Failing(io.FileIO):
        def read(self, size=-1):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr("builtins.open", Failing)
    with pytest.raises(SourceError, match=r"a\.txt\?start=4&end=8.*Input/out"):
        list(TextLines(str(path)).read(4, 8))


def test_a_missing_file_is_named(tmp_path):
    source = TextLines(str(tmp_path / "none.txt"))
    with pytest.raises(SourceError, match=r"none\.txt"):
        source.count_records()
    with pytest.raises(SourceError, match=r"none\.txt"):
        list(source.read(0, 1))


def test_compressed_files_are_not_cut():
    assert TextLines("a.csv.gz").count_records() is None
