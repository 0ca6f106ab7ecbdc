"""A WorkQueue whose works are cut into slices."""

from __future__ import annotations

import json
import pathlib
from collections import Counter

import pytest
import tensorflow as tf

from tests.support.in_process_cluster import Background, InProcessCluster
from tests.support.queues import feeder_of
from tests.support.sessions import draw, element_of, items, raw_session, train
from wq_hooks import WorkQueue, readers, sources
from wq_hooks.core.items.slice_text import parse_slice
from wq_hooks.errors import SourceError

tf1 = tf.compat.v1


@pytest.fixture
def files(tmp_path):
    """Paths of four text files, of very different sizes, one of them empty."""
    paths = []
    for number, size in enumerate([3, 1000, 40, 0]):
        path = tmp_path / f"{number}.txt"
        path.write_text("".join(f"{number}:{i}\n" for i in range(size)))
        paths.append(str(path))
    return paths


def lines_of(paths):
    return [
        line
        for path in paths
        for line in pathlib.Path(path).read_text().split()
    ]


@pytest.mark.parametrize("has_records", [False, True])
@pytest.mark.parametrize("num_slices", [20, "auto"])
def test_the_lines_of_all_slices_are_those_of_the_files(
    files, has_records, num_slices, monkeypatch
):
    monkeypatch.setattr(sources.TextLines, "least_slice", 10)
    with tf.Graph().as_default():
        queue = WorkQueue(
            files, num_epochs=2, num_slices=num_slices, source=sources.TextLines
        )
        assert len(queue) == 20 or num_slices == "auto"
        if has_records:
            dataset = queue.records(readers.text_lines).to_dataset()
        else:
            dataset = queue.input_dataset().flat_map(readers.text_lines)
        line = element_of(dataset)
        with raw_session() as session:
            lines = draw(session, line)
    assert Counter(lines) == Counter(lines_of(files) * 2)


def test_the_tasks_of_a_cluster_share_the_slices(files):
    cluster = InProcessCluster(num_workers=2)

    def read(index):
        with cluster.task(index) as task:
            queue = WorkQueue(files, num_slices=30, source=sources.TextLines)
            dataset = queue.records(readers.text_lines, cycle_length=2)
            batch = element_of(dataset.shuffle(50).batch(8).to_dataset())
            with task.session() as session:
                return draw(session, batch)

    tasks = [Background(read, index) for index in range(2)]
    batches = [batch for task in tasks for batch in task.result()]
    lines = Counter(line.decode() for batch in batches for line in batch)
    assert lines == Counter(lines_of(files))


def test_slices_may_be_interleaved(files):
    with tf.Graph().as_default():
        queue = WorkQueue(
            files, num_slices=9, source=sources.TextLines, num_clients=3
        )
        dataset = queue.input_dataset().interleave(
            readers.text_lines, cycle_length=3
        )
        line = element_of(dataset)
        with raw_session() as session:
            assert Counter(draw(session, line)) == Counter(lines_of(files))


def test_sources_may_be_listed(files):
    with tf.Graph().as_default():
        works = [files[0], sources.TextLines(files[1])]
        queue = WorkQueue(works, num_slices=4, shuffle=False)
        assert len(queue) == 5
        item = queue.take()
        with raw_session() as session:
            texts = draw(session, item)
    assert texts[0] == files[0]
    assert [parse_slice(text).path for text in texts[1:]] == [files[1]] * 4
    assert parse_slice(texts[1]).start == 0


def test_plain_files_stay_whole(files):
    with tf.Graph().as_default():
        queue = WorkQueue(files, num_slices=40, shuffle=False)
        assert len(queue) == 4
        item = queue.take()
        with raw_session() as session:
            assert draw(session, item) == files


def test_a_sliced_queue_goes_on_where_it_was(files, tmp_path):
    args = {
        "directory": tmp_path / "model",
        "queue_args": {"num_slices": 12, "source": sources.TextLines},
    }
    first = items(train(files, num_steps=5, **args))
    second = items(train(files, **args))
    assert len(set(first)) == 5
    # The item that was in flight at the last save comes again.
    assert set(first) | set(second) == set(
        items(train(files, queue_args=args["queue_args"]))
    )
    assert len(second) <= 12 - 4


def test_a_file_that_cannot_be_counted_ends_the_session(tmp_path):
    with tf.Graph().as_default():
        queue = WorkQueue(
            [str(tmp_path / "none.txt")],
            num_slices=3,
            source=sources.TextLines,
        )
        item = queue.take()
        with (
            pytest.raises(SourceError, match=r"none\.txt"),
            tf1.train.MonitoredTrainingSession() as session,
        ):
            session.run(item)


def test_a_slice_that_has_shrunk_is_named_and_stays_open(files):
    with tf.Graph().as_default():
        queue = WorkQueue(
            files[1:2], num_slices=2, shuffle=False, source=sources.TextLines
        )
        dataset = queue.records(readers.text_lines).batch(10).to_dataset()
        batch = element_of(dataset)
        with raw_session() as session:
            draw(session, batch, 1)
            with open(files[1], "r+") as file:
                file.truncate(5000)
            with pytest.raises(tf.errors.OpError, match=r"1\.txt"):
                draw(session, batch)
            # Who has what is reported a little later.
            feeder_of(queue).flush(10.0)
            snapshot = queue.snapshot()
    (_, text, _, _) = json.loads(snapshot)["body"]["outstanding"][-1]
    assert parse_slice(text).path == files[1]
    assert parse_slice(text).start > 0


def test_a_prefix_and_a_source_are_refused(files):
    with (
        tf.Graph().as_default(),
        pytest.raises(ValueError, match="no prefix where works are sources"),
    ):
        WorkQueue([sources.TextLines(files[0])], prefix="x")
