"""Prediction jobs: a task that comes back redoes what it had taken."""

from __future__ import annotations

import itertools

import pytest
import tensorflow as tf

from tests.support.queues import chief_of
from tests.support.sessions import draw, item_of, raw_session
from wq_hooks import LocalWorkMgr, WorkQueue

tf1 = tf.compat.v1

WORKS = [f"table?start={i}&end={i + 4}" for i in range(0, 24, 4)]
SOURCES = ["take", "dataset", "producer"]


def predicted(
    directory, works=WORKS, *, source="dataset", num=None, index=0, **options
):
    """Returns what a life of a task gets, at most `num` items."""
    with tf.Graph().as_default():
        queue = WorkQueue(
            works,
            shuffle=False,
            local_work_mgr=LocalWorkMgr("worker", index, str(directory)),
            **options,
        )
        item = item_of(queue, source)
        with raw_session() as session:
            return draw(session, item, num)


def noted(directory):
    return sorted(
        line
        for path in directory.glob("worker_*/*")
        for line in path.read_text().splitlines()
    )


@pytest.mark.parametrize("source", SOURCES)
def test_what_was_taken_is_noted(tmp_path, source):
    assert predicted(tmp_path, source=source) == WORKS
    assert noted(tmp_path) == sorted(WORKS)


@pytest.mark.parametrize("source", SOURCES)
def test_a_task_that_comes_back_begins_with_what_it_had_taken(tmp_path, source):
    first = predicted(tmp_path, source=source, num=3)
    assert first == WORKS[:3]
    taken = noted(tmp_path)
    again = predicted(tmp_path, source=source)
    # The queue of this test has come back with it, and begins anew.
    assert sorted(again[: len(taken)]) == taken
    assert again[len(taken) :] == WORKS


def test_files_that_stand_there_come_first_each_with_the_prefix(tmp_path):
    own = tmp_path / "worker_0"
    own.mkdir()
    (own / "start_0_end_4").write_text("?start=0&end=4\n")
    (own / "unfinished.tmp").write_text("?start=")
    works = ["?start=4&end=8", "?start=8&end=12"]

    expected = [f"odps://p/{text}" for text in ["?start=0&end=4", *works]]
    assert predicted(tmp_path, works, prefix="odps://p/") == expected
    assert noted(tmp_path) == sorted(["?start=", "?start=0&end=4", *works])


def test_each_task_has_notes_of_its_own(tmp_path):
    predicted(tmp_path, WORKS[:2], index=0)
    assert predicted(tmp_path, WORKS[2:], index=1) == WORKS[2:]


def test_what_was_noted_is_completed_for_the_queue(tmp_path):
    with tf.Graph().as_default():
        queue = WorkQueue(
            WORKS, local_work_mgr=LocalWorkMgr("worker", 0, str(tmp_path))
        )
        item = queue.take()
        with raw_session() as session:
            draw(session, item, 2)
            for _ in itertools.count():
                progress = chief_of(queue).ledger
                if progress.completed >= 2:
                    break
            assert progress.remaining == len(WORKS) - 2


def test_with_the_hook_as_in_deeprec(tmp_path):
    with tf.Graph().as_default():
        mgr = LocalWorkMgr("worker", 0, str(tmp_path))
        queue = WorkQueue(WORKS, shuffle=False, local_work_mgr=mgr)
        item = item_of(queue, "dataset")
        drawn = []
        with tf1.train.MonitoredTrainingSession(hooks=[mgr.hook()]) as session:
            while not session.should_stop():
                drawn.append(session.run(item).decode())
    assert drawn == WORKS


@pytest.mark.parametrize(
    ("args", "error"),
    [(("", 0), "job_name"), (("worker", -1), "task_index")],
)
def test_bad_arguments(tmp_path, args, error):
    with pytest.raises(ValueError, match=error):
        LocalWorkMgr(*args, str(tmp_path))


def test_what_is_no_manager():
    with tf.Graph().as_default(), pytest.raises(TypeError, match="or None"):
        WorkQueue(WORKS, local_work_mgr="worker")


def test_in_eager_mode_it_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="snapshot"):
        WorkQueue(WORKS, local_work_mgr=LocalWorkMgr("w", 0, str(tmp_path)))
