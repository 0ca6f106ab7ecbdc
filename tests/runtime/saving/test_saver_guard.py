"""The position in the Savers that users make, and in what restores by name."""

from __future__ import annotations

import json

import pytest
import tensorflow as tf

from tests.support.sessions import draw, element_of, initializers, items, train
from wq_hooks import WorkQueue

tf1 = tf.compat.v1

WORKS = [f"part-{i}" for i in range(12)]


def position_of(directory):
    path = tf.train.latest_checkpoint(str(directory))
    reader = tf.train.load_checkpoint(path)
    position = json.loads(reader.get_tensor("work_queue/position"))["body"]
    return position["next_ticket"], position["outstanding"]


class PartialSaver(tf1.train.Saver):
    """Restores the variables that a checkpoint has, by name."""

    def restore(self, sess, save_path):
        reader = tf.train.load_checkpoint(save_path)
        for variable in tf1.global_variables():
            if reader.has_tensor(variable.op.name):
                variable.load(reader.get_tensor(variable.op.name), sess)


class TestScaffold:
    """`Scaffold(saver=Saver())`, which no collection knows."""

    @pytest.mark.parametrize("source", ["take", "dataset", "producer"])
    @pytest.mark.parametrize("every", [1, 5, 100])
    def test_is_exact_without_a_hook(self, tmp_path, source, every):
        run = {
            "source": source,
            "directory": tmp_path,
            "saver": tf1.train.Saver,
            "save_checkpoint_steps": every,
        }
        assert items(train(WORKS, last_step=7, **run)) == WORKS[:7]
        open_tickets = [ticket for ticket, *_ in position_of(tmp_path)[1]]
        # The queue of Reader ops may hold the next one already.
        assert open_tickets in ([6], [6, 7] if source == "producer" else [6])
        assert items(train(WORKS, **run)) == WORKS[6:]
        assert position_of(tmp_path) == (12, [])
        assert train(WORKS, **run) == []

    def test_so_is_that_of_a_hook_of_tensorflow(self, tmp_path):
        def hook(queue, scaffold):
            del queue, scaffold
            return tf1.train.CheckpointSaverHook(
                str(tmp_path), save_steps=5, saver=tf1.train.Saver()
            )

        assert items(train(WORKS, hook_of=hook)) == WORKS
        assert position_of(tmp_path) == (12, [])

    def test_a_list_of_variables_has_no_position(self, tmp_path, caplog):
        run = {
            "directory": tmp_path,
            "saver": lambda: tf1.train.Saver(tf1.global_variables()),
        }
        assert items(train(WORKS, last_step=7, **run)) == WORKS[:7]
        assert "a list that lacks the position" in caplog.text
        steps = train(WORKS, **run)
        assert items(steps) == WORKS
        assert steps[0] == (WORKS[0], 8)

    def test_restores_what_a_checkpoint_has(self, tmp_path):
        train(WORKS, directory=tmp_path, last_step=7)
        steps = train(WORKS, directory=tmp_path, saver=PartialSaver)
        assert steps[0] == (WORKS[0], 8)
        assert items(steps) == WORKS


class TestSessionsByHand:
    @pytest.mark.parametrize("is_finalized", [False, True])
    def test_what_was_restored_counts(self, tmp_path, is_finalized):
        path = str(tmp_path / "model")
        for num, expected in ((5, WORKS[:5]), (None, WORKS[4:])):
            with tf.Graph().as_default() as graph:
                item = WorkQueue(WORKS, shuffle=False).take()
                tf1.get_variable("weight", [])
                saver = tf1.train.Saver()
                init = initializers()
                if is_finalized:
                    graph.finalize()
                with tf1.Session() as session:
                    session.run(init)
                    if num is None:
                        saver.restore(session, path)
                    tf1.train.start_queue_runners(session)
                    assert draw(session, item, num) == expected
                    saver.save(session, path, write_meta_graph=False)

    def test_a_save_before_the_queue_begins_keeps_it(self, tmp_path):
        train(WORKS, directory=tmp_path, last_step=7)
        before = position_of(tmp_path)
        with tf.Graph().as_default():
            tf1.train.get_or_create_global_step()
            WorkQueue(WORKS, shuffle=False)
            saver = tf1.train.Saver()
            with tf1.Session() as session:
                saver.restore(session, tf.train.latest_checkpoint(tmp_path))
                saver.save(session, str(tmp_path / "again"))
        assert position_of(tmp_path) == before

    def test_an_exported_graph_restores(self, tmp_path):
        train(WORKS, directory=tmp_path, last_step=7)
        path = tf.train.latest_checkpoint(str(tmp_path))
        with tf.Graph().as_default(), tf1.Session() as session:
            saver = tf1.train.import_meta_graph(f"{path}.meta")
            saver.restore(session, path)
            assert session.run(tf1.train.get_global_step()) == 7


class TestOthers:
    @pytest.mark.parametrize("with_queue", [False, True])
    def test_init_from_checkpoint(self, tmp_path, with_queue):
        works = WORKS if with_queue else None
        train(works, directory=tmp_path, last_step=5)

        def before(queue):
            del queue
            tf1.train.init_from_checkpoint(str(tmp_path), {"/": "/"})

        steps = train(WORKS, before=before)
        assert steps[0] == (WORKS[0], 6)
        assert items(steps) == WORKS

    def test_an_object_based_checkpoint(self, tmp_path):
        """A Saver restores it too, in a graph that is not finalized."""
        with tf.Graph().as_default(), tf1.Session() as session:
            step = tf1.train.get_or_create_global_step()
            session.run(step.initializer)
            session.run(step.assign(5))
            checkpoint = tf1.train.Checkpoint(step=step)
            path = checkpoint.save(str(tmp_path / "model"), session)
        with tf.Graph().as_default():
            step = tf1.train.get_or_create_global_step()
            item = WorkQueue(WORKS, shuffle=False).take()
            saver = tf1.train.Saver()
            with tf1.Session() as session:
                saver.restore(session, path)
                tf1.train.start_queue_runners(session)
                assert session.run(step) == 5
                assert draw(session, item) == WORKS

    def test_no_variable_is_left_to_be_initialized(self):
        with tf.Graph().as_default(), tf1.Session() as session:
            element_of(WorkQueue(WORKS).input_dataset())
            missing = tf1.report_uninitialized_variables()
            assert session.run(missing).tolist() == []
