from __future__ import annotations

import threading

import pytest
import tensorflow as tf

from tests.support.sessions import draw, item_of, items, raw_session, train
from wq_hooks import WorkQueue, WorkQueueHook
from wq_hooks.cli import command_line
from wq_hooks.cli.positions import find_positions
from wq_hooks.core.names import Names, first_free

tf1 = tf.compat.v1


class TestNames:
    def test_the_first_that_is_free(self):
        assert first_free([]) == "work_queue"
        assert first_free(["work_queue"]) == "work_queue_1"
        assert first_free(["work_queue_1", "train"]) == "work_queue"
        taken = ["work_queue", "work_queue_1", "work_queue_3"]
        assert first_free(taken) == "work_queue_2"

    def test_a_name_that_is_given_twice(self):
        names = Names("the box", lambda: ["train"], ", or open another box")
        with (
            pytest.raises(ValueError, match="no other open queue of the box"),
            names.claimed("train"),
        ):
            pass
        with names.claimed("eval") as name:
            assert name == "eval"

    def test_a_queue_that_is_being_made_has_its_name(self):
        """In another thread, say."""
        names = Names("the box", list)
        with names.claimed(None) as first, names.claimed(None) as second:
            assert (first, second) == ("work_queue", "work_queue_1")
            with (
                pytest.raises(ValueError, match="work_queue_1"),
                names.claimed("work_queue_1"),
            ):
                pass
        with names.claimed(None) as name:
            assert name == "work_queue"

    def test_a_queue_that_failed_gives_it_back(self):
        names = Names("the box", list)
        with pytest.raises(KeyError), names.claimed(None):
            raise KeyError
        with names.claimed(None) as name:
            assert name == "work_queue"


class TestOfAGraph:
    def test_in_the_order_of_making(self):
        with tf.Graph().as_default():
            queues = [WorkQueue(["a"]) for _ in range(3)]
            queues.append(WorkQueue(["a"], name="train"))
            queues.append(WorkQueue(["a"]))
        assert [queue.name for queue in queues] == [
            "work_queue",
            "work_queue_1",
            "work_queue_2",
            "train",
            "work_queue_3",
        ]
        with tf.Graph().as_default():
            assert WorkQueue(["a"]).name == "work_queue"

    def test_one_that_was_given_is_left_out(self):
        with tf.Graph().as_default():
            WorkQueue(["a"], name="work_queue_1")
            assert WorkQueue(["a"]).name == "work_queue"
            assert WorkQueue(["a"]).name == "work_queue_2"

    @pytest.mark.parametrize("first", [None, "work_queue"])
    def test_one_that_is_given_and_taken(self, first):
        with tf.Graph().as_default():
            WorkQueue(["a"], name=first)
            with pytest.raises(ValueError, match="name='work_queue' twice"):
                WorkQueue(["a"], name="work_queue")

    def test_a_wrong_argument_takes_no_name(self):
        with tf.Graph().as_default():
            for args in ({"num_epochs": 0}, {"source": 5}, {"name": "a//b"}):
                with pytest.raises((TypeError, ValueError)):
                    WorkQueue(["a"], **args)
            assert WorkQueue(["a"]).name == "work_queue"

    def test_each_has_its_items_and_its_place_in_the_checkpoint(self, tmp_path):
        def run(works, steps):
            graph = tf.Graph()
            with graph.as_default():
                step = tf1.train.get_or_create_global_step()
                queues = [WorkQueue(w, shuffle=False) for w in works]
                fetches = [queue.take() for queue in queues]
                for queue in queues:
                    queue.add_summary()
                merged = tf1.summary.merge_all()
                with tf1.train.MonitoredTrainingSession(
                    checkpoint_dir=str(tmp_path), hooks=[WorkQueueHook()]
                ) as session:
                    assert step is not None
                    tags = [
                        value.tag
                        for value in tf1.Summary.FromString(
                            session.run(merged)
                        ).value
                    ]
                    return [
                        draw(session, fetch, num)
                        for fetch, num in zip(fetches, steps)
                    ], tags

        works = [["a", "b", "c"], ["x", "y"]]
        drawn, tags = run(works, (2, 1))
        assert drawn == [["a", "b"], ["x"]]
        assert {t for t in tags if "fraction" in t} == {
            "work_queue/fraction_of_3_full",
            "work_queue_1/fraction_of_2_full",
        }
        names = [position.key for position in find_positions(str(tmp_path))]
        assert names == ["work_queue/position", "work_queue_1/position"]
        # What was held at the stop comes again.
        assert run(works, (2, 2))[0] == [["b", "c"], ["x", "y"]]


class TestOfTheProcess:
    def test_in_the_order_of_making(self):
        with WorkQueue(["a"]) as first, WorkQueue(["b"]) as second:
            assert (first.name, second.name) == ("work_queue", "work_queue_1")
            with pytest.raises(ValueError, match=r"or close\(\) the first"):
                WorkQueue(["c"], name="work_queue_1")
        with WorkQueue(["c"]) as third:
            assert third.name == "work_queue"

    def test_threads_come_to_different_names(self):
        queues = []

        def make():
            barrier.wait()
            queues.append(WorkQueue(["a"]))

        barrier = threading.Barrier(8)
        threads = [threading.Thread(target=make) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({queue.name for queue in queues}) == 8
        for queue in queues:
            queue.close()


class TestASlash:
    """TensorFlow's scopes and shared names bear it."""

    @pytest.mark.parametrize("source", ["take", "dataset", "producer"])
    def test_items(self, source):
        with tf.Graph().as_default():
            inner = WorkQueue(["a", "b"], shuffle=False, name="train/day-1")
            outer = WorkQueue(["x", "y"], shuffle=False, name="train")
            fetches = [item_of(queue, source) for queue in (inner, outer)]
            with raw_session() as session:
                assert draw(session, fetches[0]) == ["a", "b"]
                assert draw(session, fetches[1]) == ["x", "y"]

    def test_save_restore_summaries_and_inspect(self, tmp_path):
        args = {
            "directory": tmp_path,
            "queue_args": {"name": "train/day-1"},
            "hook_of": lambda queue, _: WorkQueueHook(
                queue, every_n_steps=1, summary_dir=str(tmp_path / "events")
            ),
        }
        assert items(train(list("abcdef"), last_step=3, **args)) == list("abc")
        (position,) = find_positions(str(tmp_path))
        assert position.key == "train/day-1/position"
        assert items(train(list("abcdef"), **args)) == list("cdef")
        tags = {
            value.tag
            for path in (tmp_path / "events").iterdir()
            for event in tf1.train.summary_iterator(str(path))
            for value in event.summary.value
        }
        assert "train/day-1/fraction_of_6_full" in tags
        assert "train/day-1/state" in tags

    def test_a_long_list_is_kept_beside_the_checkpoints(self, tmp_path):
        works = [f"{(i * 2654435761) % 2**32:x}" for i in range(30_000)]
        args = {
            "directory": tmp_path,
            "queue_args": {"name": "train/day-1"},
            "save_checkpoint_steps": 5,
        }
        train(works, last_step=5, **args)
        assert list(tmp_path.glob("*.works"))
        # Other works need the list. What was held comes first.
        resumed = items(train(works[:-1], last_step=7, **args))
        assert resumed == works[4:6]

    def test_in_eager_mode(self, tmp_path):
        with WorkQueue(["a", "b"], shuffle=False, name="a/b") as queue:
            assert queue.take().numpy() == b"a"
            checkpoint = tf.train.Checkpoint(work_queue=queue)
            path = checkpoint.save(str(tmp_path / "model"))
        with WorkQueue(["a", "b"], shuffle=False, name="a/b") as queue:
            tf.train.Checkpoint(work_queue=queue).restore(path)
            texts = [text.numpy() for text in queue.input_dataset()]
            assert texts == [b"a", b"b"]

    def test_served(self, capsys):
        with WorkQueue(["a", "b"], shuffle=False, name="a/b") as queue:
            port = queue.serve(0)
            target = f"grpc://localhost:{port}"
            with WorkQueue.connect(target, "a/b") as other:
                assert other.take().numpy() == b"a"
                ask = ["status", "--target", target, "--name", "a/b"]
                assert command_line.main(ask) == 0
                assert "Queue a/b" in capsys.readouterr().out
