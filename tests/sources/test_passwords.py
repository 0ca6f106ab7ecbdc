"""Passwords in URLs of PostgreSQL are refused, and not repeated."""

from __future__ import annotations

import traceback
import urllib.parse

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from wq_hooks import WorkQueue
from wq_hooks.engines import engine_of
from wq_hooks.sources import SqlTable
from wq_hooks.sources.passwords import has_password, without_password

REFUSED = [
    "postgresql://me:s3cret@host/db#clicks",
    "postgres://me:s3cret@host:5432/db#clicks",
    "PostgreSQL://me:s3cret@host/db#clicks",
    "postgresql://:s3cret@host/db#clicks",
    "postgresql://me:s3c%72et@host/db#clicks",
    "postgresql://me@host/db?password=s3cret#clicks",
    "postgresql://host/db?user=me&pass%77ord=s3cret#clicks",
    "postgresql://host/db?sslkey=a&sslpassword=s3cret#clicks",
    "postgresql://me:s3cret@host/db#clicks?start=0&end=9",
    # Signs that should have been written as %23, %2F, %3F, %40, %5B.
    "postgresql://me:s3cret#x@host/db#clicks",
    "postgresql://me:s3cret/x@host/db#clicks",
    "postgresql://me:s3cret?x@host/db#clicks",
    "postgresql://me:s3cret@x@host/db#clicks",
    "postgresql://me:s3cret[x@host/db#clicks",
]
ACCEPTED = [
    "postgresql://me@host/db#clicks",
    "postgresql:///db?service=mine&passfile=/etc/pw#clicks",
    "postgresql://me@one:5432,two:5433/db?application_name=password#clicks",
    "postgresql://me@[::1]:5432/db#clicks",
    "postgresql://tester@/postgres?host=/tmp/wq_pg_x#public.t",
    "postgresql://host:5432/db#a@b:c",
    "postgresql://me@host/db#clicks?start=0&end=9",
    "/data/postgres:x@y/a.csv",
    "mine://me:s3cret@host/table",
]


def told_of(error):
    """All that a log would have of an error."""
    return "".join(traceback.format_exception(error.type, error.value, None))


@pytest.mark.parametrize("url", REFUSED)
def test_a_password_is_refused_and_not_repeated(url):
    with pytest.raises(ValueError, match="PGPASSWORD, ~/") as error:
        SqlTable(url)
    assert "s3c" not in told_of(error)
    with (
        tf.Graph().as_default(),
        pytest.raises(ValueError, match=r"as works\[1\]") as error,
    ):
        # Whole works too, of which nobody asks for the source.
        WorkQueue(["a.csv", url])
    assert "s3c" not in told_of(error)


@pytest.mark.parametrize("url", ACCEPTED)
def test_no_password_is_no_fault(url):
    with tf.Graph().as_default():
        queue = WorkQueue([url])
        assert queue.works == [url]
        assert "WorkQueue" in repr(queue)


def test_a_password_in_the_prefix_or_an_added_work_is_refused():
    with tf.Graph().as_default():
        with pytest.raises(ValueError, match=r"works\[0\]"):
            WorkQueue(["db#t"], prefix="postgresql://me:s3cret@host/")
        queue = WorkQueue(["postgresql://host/db#t"], is_open=True)
        with pytest.raises(ValueError, match="an added work") as error:
            queue.add_works(["a", REFUSED[0]])
        assert "s3c" not in told_of(error)
        assert engine_of(queue)._listing._added.read(0) == ([], [], False)


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_any_password_is_found_where_it_is_written_as_urls_have_it(password):
    quoted = urllib.parse.quote(password, safe="")
    assert has_password(f"postgresql://me:{quoted}@host:1/db#t")
    assert has_password(f"postgresql://host:1/db?password={quoted}#t")


@given(st.text())
def test_anything_can_be_looked_at(text):
    has_password(text)
    has_password(f"postgresql://{text}")
    without_password(text)


def test_what_is_of_another_scheme_is_shown_without_its_password():
    with pytest.raises(ValueError, match="Expected such as sqlite") as error:
        SqlTable("mysql://me:s3cret@host/db#t")
    assert "mysql://me@host/db#t" in str(error.value)
    assert without_password("x://me:s3[cret@host") == "..."
