"""Runs the blocks of docs/sources.md."""

from __future__ import annotations

import re

import pytest
import tensorflow as tf

from tests.support.paths import ROOT
from tests.support.sessions import draw, element_of, raw_session
from wq_hooks import TableRecordDataset, WorkQueue, readers, sources
from wq_hooks.sources import registry

GUIDE = ROOT / "docs" / "sources.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.M | re.S)


@pytest.mark.parametrize("number", range(2))
def test_block(number, tmp_path, monkeypatch):
    assert len(BLOCKS) == 2
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))
    path = tmp_path / "a.txt"
    path.write_text("".join(f"{i}\n" for i in range(100)))
    names = {
        "WorkQueue": WorkQueue,
        "TableRecordDataset": TableRecordDataset,
        "readers": readers,
        "sources": sources,
        "paths": [str(path)],
    }
    with tf.Graph().as_default():
        exec(compile(BLOCKS[number], "sources.md", "exec"), names)
        dataset = names["dataset"]
        if hasattr(dataset, "to_dataset"):
            dataset = dataset.to_dataset()
        record = element_of(dataset)
        with raw_session() as session:
            records = draw(session, record)
    if number == 0:
        assert sorted(map(int, records)) == list(range(100))
    else:
        assert sorted(int(row[0]) for row in records) == list(range(1000))
        assert records[0][1] == f"row {records[0][0]}".encode()
