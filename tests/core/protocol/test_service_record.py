from __future__ import annotations

import pytest

from wq_hooks.core.protocol import service_record
from wq_hooks.core.protocol.service_record import (
    NotServedError,
    ServiceRecord,
    checked_task,
    find_served,
)
from wq_hooks.errors import WorkQueueError

TARGET = "grpc://10.0.0.7:2222"
TRAIN = ServiceRecord("train", 10, 60.0)
VALID = ServiceRecord("valid", 3, 2.5)


def test_what_is_said_is_found():
    texts = [TRAIN.to_text(), VALID.to_text()]
    assert find_served(texts, "valid", TARGET) == VALID
    assert TRAIN.key != VALID.key


def test_a_name_that_is_not_served():
    with pytest.raises(NotServedError, match="'test'; it serves 'train', 'val"):
        find_served([VALID.to_text(), TRAIN.to_text()], "test", TARGET)
    with pytest.raises(NotServedError, match=f"{TARGET} .*; it serves none"):
        find_served([], "test", TARGET)


def test_what_others_have_written_is_no_queue():
    texts = ["", "7", "{}", "[]", '{"name"', TRAIN.to_text()]
    assert find_served(texts, "train", TARGET) == TRAIN


def test_another_format(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(service_record, "FORMAT", 7)
        text = TRAIN.to_text()
    with pytest.raises(WorkQueueError, match=r"in format 1, .* in format 7"):
        find_served([text], "train", TARGET)


def test_names_of_tasks():
    assert checked_task("worker:1") == "worker:1"
    for task in ("", "a b", "a/2", "a\n"):
        with pytest.raises(ValueError, match="without blanks and slashes"):
            checked_task(task)
    with pytest.raises(TypeError, match="got 7"):
        checked_task(7)
