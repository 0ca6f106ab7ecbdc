"""SQL tables, cut by rows in the order of a key.

    source = SqlTable("sqlite:///data/clicks.db#clicks")
    source = SqlTable("postgresql://me@host/db#public.clicks")
    for row in source.read(0, 1000): ...

The table is named behind "#". Its primary key gives the order, or the columns
named by `key`, which must tell rows apart; SQLite has one of its own. SQLite
comes with Python; PostgreSQL needs psycopg: pip install "wq-hooks[postgresql]".

The trap: rows are counted off in the order of the key. Where rows are deleted
while the table is read, later slices shift; the last one then says so.
"""

from __future__ import annotations

import contextlib
import sqlite3
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import Any

from wq_hooks.core.slice_text import slice_text
from wq_hooks.errors import SourceError
from wq_hooks.sources.passwords import expect_no_password, without_password

_BATCH_ROWS = 4096
_PRIMARY_KEY = """
SELECT a.attname FROM pg_index i JOIN pg_attribute a
ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
WHERE i.indrelid = %s::regclass AND i.indisprimary
ORDER BY array_position(i.indkey, a.attnum)
"""


class SqlTable:
    """The rows of one table.

    Args:
      url: `sqlite:///relative/path#table`, `sqlite:////absolute/path#table`
        or `postgresql://user@host/db#schema.table`. Reserved signs in a path
        or table are written as in any URL: "%23" for "#". A password is
        refused, as it would stand in checkpoints and logs; PGPASSWORD and
        ~/.pgpass work.
      columns: Names of the columns that are read; None: all.
      key: Names of the columns whose order counts; None: the primary key.

    Raises:
      ValueError: If the URL is none of these, names no table, or has a
        password.
    """

    def __init__(
        self,
        url: str,
        *,
        columns: Sequence[str] | None = None,
        key: Sequence[str] | None = None,
    ):
        expect_no_password(url)
        self.name = url
        parts = urllib.parse.urlsplit(url)
        if (
            parts.scheme not in ("sqlite", "postgres", "postgresql")
            or not parts.fragment
        ):
            raise ValueError(
                "Expected such as sqlite:///clicks.db#clicks or "
                "postgresql://host/db#clicks; got "
                f"{without_password(url)!r:.300}."
            )
        self._is_sqlite = parts.scheme == "sqlite"
        self._path = urllib.parse.unquote(parts.path[1:])
        self._conninfo = urllib.parse.urlunsplit(parts._replace(fragment=""))
        table = urllib.parse.unquote(parts.fragment)
        # A schema and a table, as PostgreSQL has them.
        names = [table] if self._is_sqlite else table.split(".", 1)
        self._table = ".".join(_quoted(name) for name in names)
        self._columns = None if columns is None else list(columns)
        self._key = None if key is None else list(key)

    def __repr__(self) -> str:
        return f"SqlTable({self.name!r})"

    @property
    def column_names(self) -> list[str]:
        """Names of the columns, in the order of a row's values."""
        if self._columns is not None:
            return self._columns
        with self._cursor() as cursor:
            cursor.execute(f"SELECT * FROM {self._table} LIMIT 0")
            return [column[0] for column in cursor.description]

    def count_records(self) -> int:
        """Returns the number of rows.

        Raises:
          SourceError: If there is no such table.
        """
        with self._cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {self._table}")
            return int(cursor.fetchone()[0])

    def read(self, start: int, end: int) -> Iterator[tuple[Any, ...]]:
        """Yields rows [start, end) in the order of the key.

        Raises:
          SourceError: If the table cannot be read, lacks a column, has no
            key, or has not so many rows (any more).
        """
        columns = ", ".join(map(_quoted, self._columns or [])) or "*"
        with self._cursor() as cursor:
            cursor.execute(
                f"SELECT {columns} FROM {self._table} ORDER BY "
                f"{self._order(cursor)} LIMIT {int(end) - int(start)} "
                f"OFFSET {int(start)}"
            )
            num_rows = 0
            while rows := cursor.fetchmany(_BATCH_ROWS):
                num_rows += len(rows)
                yield from map(tuple, rows)
            if num_rows < end - start:
                raise SourceError(
                    f"Expected {end - start} rows in "
                    f"{slice_text(self.name, start, end)!r:.300}; got "
                    f"{num_rows}: the table has become shorter since it was "
                    "listed."
                )

    def _order(self, cursor: Any) -> str:
        key = self._key
        if key is None and self._is_sqlite:
            info = cursor.execute(
                f"PRAGMA table_info({self._table})"
            ).fetchall()
            ranked = sorted((row[5], row[1]) for row in info if row[5])
            key = [name for _, name in ranked]
            if not key:
                return "rowid"
        elif key is None:
            cursor.execute(_PRIMARY_KEY, (self._table,))
            key = [row[0] for row in cursor.fetchall()]
        if not key:
            raise SourceError(
                f"Expected a primary key in {self.name!r:.300}, for an "
                "order of its rows; it has none. Name columns: key=[...]."
            )
        return ", ".join(map(_quoted, key))

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[Any]:
        try:
            with contextlib.closing(self._connect()) as connection:
                cursor = connection.cursor()
                if not self._is_sqlite:
                    cursor.execute("SET default_transaction_read_only = on")
                yield cursor
        except (SourceError, GeneratorExit):
            raise
        except Exception as e:
            raise SourceError(
                f"Expected to read {self.name!r:.300}: {e}"
            ) from e

    def _connect(self) -> Any:
        if self._is_sqlite:
            path = urllib.parse.quote(self._path)
            # A generator is used by one thread at a time, not by the same.
            return sqlite3.connect(
                f"file:{path}?mode=ro", uri=True, check_same_thread=False
            )
        try:
            import psycopg
        except ImportError as e:
            raise SourceError(
                f"Expected psycopg, to read {self.name!r:.300}; it "
                "cannot be imported. Install it: "
                'pip install "wq-hooks[postgresql]".'
            ) from e
        # In a transaction the table would stay locked against changes for as
        # long as the rows are trained.
        return psycopg.connect(self._conninfo, autocommit=True)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
