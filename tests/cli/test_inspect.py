"""`wq-hooks inspect`, on checkpoints that TensorFlow has written."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import pytest
import tensorflow as tf

from tests.core.monitoring.test_progress import A, B, make_ledger, take, train
from wq_hooks import WorkQueue
from wq_hooks.cli import command_line, text
from wq_hooks.runtime.saving.position_file import PositionFile
from wq_hooks.runtime.saving.sidecar_files import SidecarFiles

tf1 = tf.compat.v1


def make_snapshot(name="train", **kwargs):
    """Two of six are completed in order, one ahead; two are in flight."""
    ledger = make_ledger("abcdef", **kwargs)
    train(ledger, A, 2)
    take(ledger, A, 1)
    train(ledger, B, 1)
    take(ledger, B, 1)
    return ledger.snapshot(name)


def save(directory, *snapshots, others=3, name="model.ckpt"):
    """Writes a checkpoint as a v1 Saver does; returns its path."""
    with tf.Graph().as_default(), tf1.Session() as session:
        for number in range(others):
            tf1.get_variable(f"layer_{number}/kernel", [7, number + 1])
        tf1.get_variable("vocabulary", initializer=["x", "y"])
        for snapshot in snapshots:
            tf1.Variable(
                snapshot if isinstance(snapshot, str) else snapshot.to_json(),
                name=f"{getattr(snapshot, 'name', 'empty')}/position",
                use_resource=True,
            )
        session.run(tf1.global_variables_initializer())
        path = os.path.join(directory, name)
        return tf1.train.Saver(sharded=True).save(session, path, 7)


def inspect(capsys, *args):
    """Returns the exit code and what is printed."""
    code = command_line.main(["inspect", *map(str, args)])
    printed = capsys.readouterr()
    return code, printed.err if code else printed.out


def inspect_json(capsys, *args):
    code, out = inspect(capsys, *args, "--format=json")
    assert code == 0, out
    return json.loads(out)


class TestWhatIsTold:
    def test_a_job_that_is_through(self, capsys, tmp_path):
        ledger = make_ledger("ab")
        train(ledger, A, 2)
        save(tmp_path, ledger.snapshot("train"))
        code, out = inspect(capsys, tmp_path)
        assert code == 0
        assert "completed      2 of 2 items" in out
        assert "outstanding    none: the job is through" in out

    def test_for_a_person(self, capsys, tmp_path):
        path = save(tmp_path, make_snapshot())
        code, out = inspect(capsys, tmp_path)
        assert code == 0
        assert out == (
            f"Queue 'train' in {path}\n"
            "  completed      3 of 6 items\n"
            "  epoch          0.50 of 1\n"
            "  low watermark  2\n"
            "  outstanding    2, of which 2 were in flight; they come first "
            "after a restore\n"
            "  given up       0\n"
            "  works          6, fingerprint "
            f"{make_snapshot().fingerprint[:12]}; in the position\n"
            "\n"
            "  TICKET  HELD BY   ATTEMPTS  ITEM\n"
            "  2       worker:0  1         p/c\n"
            "  4       worker:1  1         p/e\n"
            "\n"
        )

    def test_for_a_program(self, capsys, tmp_path):
        save(tmp_path, make_snapshot())
        (report,) = inspect_json(capsys, tmp_path)
        assert report["completed"] == 3
        assert (report["total"], report["remaining"]) == (6, 3)
        assert report["low_watermark"] == 2
        assert [i["item"] for i in report["outstanding"]] == ["p/c", "p/e"]

    def test_without_end(self, capsys, tmp_path):
        save(tmp_path, make_snapshot(num_epochs=None))
        (report,) = inspect_json(capsys, tmp_path)
        assert (report["total"], report["num_epochs"]) == (None, None)
        assert "3 items, without end" in inspect(capsys, tmp_path)[1]

    def test_of_many_items_some_are_listed(self, capsys, tmp_path):
        save(tmp_path, make_snapshot())
        _, out = inspect(capsys, tmp_path, "--limit", 1)
        assert "p/c" in out
        assert "p/e" not in out
        assert "... 1 more" in out

    def test_several_queues(self, capsys, tmp_path):
        save(tmp_path, make_snapshot("one"), make_snapshot("two"))
        reports = inspect_json(capsys, tmp_path)
        assert [report["name"] for report in reports] == ["one", "two"]
        (report,) = inspect_json(capsys, tmp_path, "--name", "two")
        assert report["name"] == "two"
        code, err = inspect(capsys, tmp_path, "--name", "three")
        assert code == 1
        assert "['one', 'two']" in err

    def test_nothing_was_written_yet(self, capsys, tmp_path):
        save(tmp_path, "")
        assert inspect_json(capsys, tmp_path)[0]["is_empty"]
        assert "nothing was written yet" in inspect(capsys, tmp_path)[1]

    def test_names_cannot_steer_the_terminal(self, capsys, tmp_path):
        ledger = make_ledger(["\x1b[31mred\x07", "\u202eb"])
        take(ledger, A, 2)
        save(tmp_path, ledger.snapshot("train"))
        _, out = inspect(capsys, tmp_path)
        assert "\x1b" not in out
        assert "p/\\x1b[31mred\\x07" in out
        assert "\\u202e" in out


class TestWhereItIsFound:
    @pytest.mark.parametrize("suffix", ["", ".index"])
    def test_a_checkpoint(self, capsys, tmp_path, suffix):
        path = save(tmp_path, make_snapshot())
        assert inspect_json(capsys, path + suffix)[0]["checkpoint"] == path

    def test_the_latest_of_a_directory(self, capsys, tmp_path):
        save(tmp_path, make_snapshot(), name="b.ckpt")
        path = save(tmp_path, make_snapshot(), name="a.ckpt")
        assert inspect_json(capsys, tmp_path)[0]["checkpoint"] == path

    def test_a_directory_that_was_moved(self, capsys, tmp_path):
        (tmp_path / "here").mkdir()
        save(tmp_path / "here", make_snapshot())
        os.rename(tmp_path / "here", tmp_path / "there")
        (report,) = inspect_json(capsys, tmp_path / "there")
        assert report["checkpoint"].startswith(str(tmp_path / "there"))

    def test_a_directory_whose_state_is_lost(self, capsys, tmp_path):
        save(tmp_path, make_snapshot())
        os.remove(tmp_path / "checkpoint")
        assert len(inspect_json(capsys, tmp_path)) == 1

    def test_a_snapshot_in_a_file(self, capsys, tmp_path):
        path = tmp_path / "position.json"
        path.write_text(make_snapshot().to_json())
        assert inspect_json(capsys, path)[0]["completed"] == 3

    def test_a_checkpoint_of_tensorflow_2(self, capsys, tmp_path):
        state = PythonString(make_snapshot().to_json())
        saved = tf.train.Checkpoint(step=tf.Variable(1), work_queue=state)
        saved.save(str(tmp_path / "ckpt"))
        (report,) = inspect_json(capsys, tmp_path)
        assert report["name"] == "train"
        assert "work_queue" in report["tensor"]

    @pytest.mark.parametrize("name", ["run[lr=0.1]", "a*b?", "w"])
    @pytest.mark.parametrize(
        ("beside", "weights", "given"),
        [
            ("w.h5", "w.h5", ["w.h5", "w.h5.work_queue.json", ""]),
            ("w", "w.index", ["w", "w.index", ""]),
            (
                "cp-{epoch:04d}",
                "cp-0003.index",
                ["cp-{epoch:04d}", "cp-0003.index", "cp-0003", ""],
            ),
            ("m-{loss:.2f}.h5", "m-0.50.h5", ["m-0.50.h5", ""]),
            ("backup", "backup/latest.h5", ["backup", "backup/", ""]),
        ],
    )
    def test_weights_with_a_position_beside_them(
        self, capsys, tmp_path, name, beside, weights, given
    ):
        folder = tmp_path / name
        (folder / weights).parent.mkdir(parents=True)
        if weights.endswith(".index"):
            path = str(folder / weights)[: -len(".index")]
            tf.train.Checkpoint(step=tf.Variable(1)).write(path)
        else:
            (folder / weights).write_text("weights")
        position_file = PositionFile(folder / beside)
        position_file.write(make_snapshot("old").to_json())
        position_file.write(make_snapshot().to_json())
        for path in given:
            (report,) = inspect_json(capsys, folder / path)
            assert (report["name"], report["completed"]) == ("train", 3), path

    def test_beside_what_keras_backs_up(self, capsys, tmp_path):
        """Keras 2 writes a checkpoint there, which has no queue."""
        folder = tmp_path / "backup" / "chief"
        tf.train.Checkpoint(step=tf.Variable(1)).save(str(folder / "ckpt"))
        PositionFile(tmp_path / "backup").write(make_snapshot().to_json())
        for path in ("backup", "", "backup.work_queue.json"):
            assert inspect_json(capsys, tmp_path / path)[0]["completed"] == 3

    def test_the_newest_snapshot_of_a_directory(self, capsys, tmp_path):
        for number, name in enumerate(("b.json", "a", "c.txt")):
            path = tmp_path / name
            path.write_text(make_snapshot(f"queue{number}").to_json())
            os.utime(path, (number, number))
        (tmp_path / "notes.json").write_text("{}")
        assert inspect_json(capsys, tmp_path)[0]["name"] == "queue2"

    def test_a_checkpoint_of_version_1(self, capsys, tmp_path):
        with tf.Graph().as_default(), tf1.Session() as session:
            tf1.Variable(make_snapshot().to_json(), name="train/position")
            session.run(tf1.global_variables_initializer())
            saver = tf1.train.Saver(write_version=tf1.train.SaverDef.V1)
            path = saver.save(session, str(tmp_path / "model.ckpt"), 7)
        for given in (path, tmp_path):
            (report,) = inspect_json(capsys, given)
            assert (report["name"], report["completed"]) == ("train", 3)

    def test_what_callbacks_have_written(self, capsys, tmp_path):
        """As a program has it, in each way to keep a position."""
        queue = WorkQueue(["a", "b", "c"], shuffle=False)
        queue.take()
        queue.take()
        checkpoint = tf.train.Checkpoint(queue=queue)
        checkpoint.save(str(tmp_path / "saved" / "ckpt"))
        checkpoint.write(str(tmp_path / "written" / "ckpt"))
        (tmp_path / "own.json").write_text(queue.snapshot())
        queue.close()
        for given in ("saved", "written", "written/ckpt", "own.json"):
            (report,) = inspect_json(capsys, tmp_path / given)
            assert (report["name"], report["completed"]) == ("work_queue", 1)


class PythonString(tf.train.experimental.PythonState):
    def __init__(self, value):
        self.value = value

    def serialize(self):
        return self.value

    def deserialize(self, string_value):
        self.value = string_value


class TestResume:
    def test_with_other_works(self, capsys, tmp_path):
        save(tmp_path, make_snapshot())
        works = tmp_path / "works.txt"
        works.write_text("a\nb\nc\n\nf\nnew\n")
        (report,) = inspect_json(capsys, tmp_path, "--works", works)
        plan = report["resume"]
        assert (plan["kept"], plan["added"], plan["dropped"]) == (4, 1, 2)
        # "c" was in flight; "f" and "new" were not begun.
        assert (plan["to_do"], plan["repeated"]) == (3, 1)
        assert plan["first"] == ["c", "f", "new"]
        _, out = inspect(capsys, tmp_path, "--works", works)
        assert "4 kept, 1 added, 2 dropped" in out

    def test_what_was_never_taken_does_not_come_once_more(
        self, capsys, tmp_path
    ):
        ledger = make_ledger("abcdef")
        # One was passed over by a taker that has died.
        ledger.issue(2, 0.0)
        ledger.lease(A, 1, 0.0)
        save(tmp_path, ledger.snapshot("train"))
        works = tmp_path / "works.txt"
        works.write_text("\n".join("abcdef"))
        (report,) = inspect_json(capsys, tmp_path, "--works", works)
        assert report["resume"]["to_do"] == 6
        assert report["resume"]["repeated"] == 1

    @pytest.mark.parametrize("name", ["none.txt", "."])
    def test_works_that_cannot_be_read(self, capsys, tmp_path, name):
        save(tmp_path, make_snapshot())
        code, err = inspect(capsys, tmp_path, "--works", tmp_path / name)
        assert code == 1
        assert "Expected --works to be a file with one work to a line" in err

    def test_with_more_epochs(self, capsys, tmp_path):
        save(tmp_path, make_snapshot())
        works = tmp_path / "works.txt"
        works.write_text("\n".join("abcdef"))
        args = tmp_path, "--works", works, "--num_epochs", 3
        (report,) = inspect_json(capsys, *args)
        assert report["resume"]["to_do"] == 15
        assert "num_epochs is now 3, was 1" in inspect(capsys, *args)[1]

    def test_from_a_list_kept_beside_the_checkpoint(self, capsys, tmp_path):
        names = [random.Random(i).randbytes(20).hex() for i in range(5000)]
        ledger = make_ledger(names)
        train(ledger, A, 10)
        snapshot = ledger.snapshot("train")
        assert snapshot.packed_works is None
        save(tmp_path, snapshot)
        works = tmp_path / "works.txt"
        works.write_text("\n".join(names[5:]))
        code, err = inspect(capsys, tmp_path, "--works", works)
        assert code == 1
        assert "the list was not found" in err
        sidecars = SidecarFiles(snapshot)
        sidecars.directory = str(tmp_path)
        sidecars.keep(ledger)
        assert ledger.snapshot("train").sidecar_directory == str(tmp_path)
        assert sidecars.works_of(snapshot) == names
        path = str(tmp_path / f"train-{snapshot.fingerprint}.works")
        (report,) = inspect_json(capsys, tmp_path, "--works", works)
        assert report["works"] == path
        assert report["resume"]["to_do"] == 4990
        assert report["resume"]["dropped"] == 5

    def test_epochs_without_works(self, capsys, tmp_path):
        with pytest.raises(SystemExit) as raised:
            command_line.main(["inspect", str(tmp_path), "--num_epochs", "2"])
        assert raised.value.code == 2


class TestErrors:
    def error(self, capsys, *args):
        code, err = inspect(capsys, *args)
        assert code == 1
        assert err.startswith("wq-hooks inspect: error: ")
        return err

    def test_nothing_there(self, capsys, tmp_path):
        assert "nothing at" in self.error(capsys, tmp_path / "model.ckpt")
        assert "there is none" in self.error(capsys, tmp_path)

    def test_a_checkpoint_without_a_queue(self, capsys, tmp_path):
        save(tmp_path)
        assert "saved without one" in self.error(capsys, tmp_path)

    def test_a_file_of_something_else(self, capsys, tmp_path):
        path = tmp_path / "file"
        for content in (b"", b"\xff\xfe", b"{}", b"[" * 100_000):
            path.write_bytes(content)
            if content:
                assert "Expected" in self.error(capsys, path)

    def test_a_damaged_position(self, capsys, tmp_path):
        snapshot = make_snapshot().to_json().replace("p/c", "p/x")
        path = tmp_path / "position.json"
        path.write_text(snapshot)
        assert "it is damaged" in self.error(capsys, path)

    def test_a_newer_position(self, capsys, tmp_path):
        snapshot = json.loads(make_snapshot().to_json())
        snapshot["version"] = 99
        path = tmp_path / "position.json"
        path.write_text(json.dumps(snapshot))
        assert "version 99" in self.error(capsys, path)

    def test_a_file_of_the_checkpoint_is_lost(self, capsys, tmp_path):
        path = save(tmp_path, make_snapshot())
        os.remove(f"{path}.data-00000-of-00001")
        assert "all files" in self.error(capsys, tmp_path)

    @pytest.mark.parametrize("part", ["index", "data-00000-of-00001"])
    def test_any_damage_is_told(self, capsys, tmp_path, part):
        path = save(tmp_path, make_snapshot())
        file = f"{path}.{part}"
        with open(file, "rb") as opened:
            whole = opened.read()
        chance = random.Random(3)
        for number in range(60):
            damaged = bytearray(whole[: chance.randrange(len(whole))])
            if number % 2:
                damaged = bytearray(whole)
                for _ in range(5):
                    place = chance.randrange(len(whole))
                    damaged[place] = chance.randrange(256)
            with open(file, "wb") as opened:
                opened.write(damaged)
            # Some of it is damage to what nobody reads.
            assert inspect(capsys, path)[0] in (0, 1)

    def test_a_list_of_works_that_is_none(self, capsys, tmp_path):
        path = save(tmp_path, make_snapshot())
        works = tmp_path / "works.txt"
        works.write_text("\n\n")
        assert "one work to a line" in self.error(
            capsys, path, "--works", works
        )


@pytest.mark.parametrize(
    "command", [["inspect", "x"], ["status", "--target", "grpc://localhost:1"]]
)
def test_without_tensorflow_the_extra_is_named(command):
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from wq_hooks.cli import command_line\n"
        f"sys.exit(command_line.main({command!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    assert f"wq-hooks {command[0]}: error: " in done.stderr
    assert "wq-hooks[tensorflow]" in done.stderr


def test_a_table():
    assert text.table(("A", "LONG"), [("xyz", "1"), ("\n", "22")]) == (
        "A    LONG\nxyz  1\n\\n   22"
    )
