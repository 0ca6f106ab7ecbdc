"""SQL tables, cut by rows in the order of a key.

    source = SqlTable("sqlite:///data/clicks.db#clicks")
    source = SqlTable("postgresql://me@host/db#public.clicks")
    for row in source.read(0, 1000): ...

The "#" is followed by the table. Its primary key gives the order, or the
columns named by `key`, which must tell rows apart; a table of SQLite has an
order of its own, a view needs `key`. The key may stand in the URL, where
readers find it: `sqlite:///clicks.db?key=day,id#clicks`. SQLite comes with
Python; PostgreSQL needs psycopg: pip install "wq-hooks[postgresql]".

The trap: rows are counted off in the order of the key. Where rows are deleted
while the table is read, later slices shift; the last one then says so.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import Any

from wq_hooks.core.items.slice_text import slice_text
from wq_hooks.errors import SourceError
from wq_hooks.sources.passwords import expect_no_password, without_password
from wq_hooks.sources.source_errors import (
    missing_package_error,
    naming,
    shorter_error,
)

_BATCH_ROWS = 4096
_KEY = "key="
_ROW_IDS = ("rowid", "_rowid_", "oid")
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
      key: Names of the columns whose order counts; None: those of the URL, or
        the primary key. The name of the source is the URL with the key in it.

    Raises:
      ValueError: If the URL is none of these, names no table, has a password,
        or another key.
    """

    def __init__(
        self,
        url: str,
        *,
        columns: Sequence[str] | None = None,
        key: Sequence[str] | None = None,
    ):
        expect_no_password(url)
        url, named_key = _with_key(url, None if key is None else _listed(key))
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
        rest = [part for part in parts.query.split("&") if not _is_key(part)]
        if self._is_sqlite and any(rest):
            raise ValueError(
                "Expected nothing but key=... after the '?' of a URL of "
                f"SQLite; got {url!r:.300}. Write '%3F' for a '?' in a path."
            )
        self._path = urllib.parse.unquote(
            parts.path[1:], errors="surrogateescape"
        )
        self._conninfo = urllib.parse.urlunsplit(
            parts._replace(query="&".join(rest), fragment="")
        )
        table = urllib.parse.unquote(parts.fragment)
        # A schema and a table, as PostgreSQL has them.
        names = [table] if self._is_sqlite else table.split(".", 1)
        self._last_name = names[-1]
        self._table = ".".join(_quoted(name) for name in names)
        self._columns = None if columns is None else _listed(columns)
        self._key = named_key

    def __repr__(self) -> str:
        return f"SqlTable({self.name!r})"

    @property
    def column_names(self) -> list[str]:
        """Names of the columns, in the order of a row's values."""
        if self._columns is not None:
            return self._columns
        with self._cursor() as cursor:
            return self._names(cursor)

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
        columns = ", ".join(map(self._qualified, self._columns or [])) or "*"
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
                raise shorter_error(
                    f"{end - start} rows",
                    slice_text(self.name, start, end),
                    num_rows,
                )

    def _names(self, cursor: Any) -> list[str]:
        cursor.execute(f"SELECT * FROM {self._table} LIMIT 0")
        return [column[0] for column in cursor.description]

    def _qualified(self, name: str) -> str:
        # SQLite takes a quoted name that it does not know for a text, but not
        # after the name of a table.
        return f"{self._table}.{_quoted(name)}"

    def _order(self, cursor: Any) -> str:
        key = self._key
        if self._is_sqlite:
            if key is None:
                cursor.execute(f"PRAGMA table_info({self._table})")
                places = [(row[5], row[1]) for row in cursor.fetchall()]
                key = [name for place, name in sorted(places) if place]
            # Rows that the key does not tell apart have an order, too.
            key = [*key, *self._row_id(cursor)]
        elif key is None:
            cursor.execute(_PRIMARY_KEY, (self._table,))
            key = [row[0] for row in cursor.fetchall()]
        if not key:
            raise SourceError(
                f"Expected a primary key in {self.name!r:.300}, for an "
                "order of its rows; it has none. Name columns: key=[...], or "
                "?key=... before the '#'."
            )
        return ", ".join(map(self._qualified, key))

    def _row_id(self, cursor: Any) -> list[str]:
        """Returns the name of SQLite's own number of the rows, if any."""
        cursor.execute(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' "
            "AND name = ? COLLATE NOCASE",
            (self._last_name,),
        )
        if not cursor.fetchall():
            return []  # Of a view it is NULL.
        taken = {name.lower() for name in self._names(cursor)}
        for name in _ROW_IDS:
            if name not in taken:
                # A table may be without it.
                with contextlib.suppress(sqlite3.OperationalError):
                    cursor.execute(
                        f"SELECT {self._qualified(name)} FROM {self._table} "
                        "LIMIT 0"
                    )
                    return [name]
        return []

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[Any]:
        connect = self._sqlite if self._is_sqlite else self._postgresql
        with naming(self.name), contextlib.closing(connect()) as connection:
            yield connection.cursor()

    def _sqlite(self) -> Any:
        path = urllib.parse.quote(self._path, errors="surrogateescape")
        # A generator is used by one thread at a time, not by the same.
        connection = sqlite3.connect(
            f"file:{path}?mode=ro", uri=True, check_same_thread=False
        )
        # SQLite does not look whether a text is one.
        connection.text_factory = functools.partial(
            str, encoding="utf-8", errors="surrogateescape"
        )
        return connection

    def _postgresql(self) -> Any:
        try:
            import psycopg
        except ImportError as e:
            raise missing_package_error(
                "psycopg", self.name, '"wq-hooks[postgresql]"'
            ) from e
        # In a transaction the table would stay locked against changes for as
        # long as the rows are trained.
        connection = psycopg.connect(self._conninfo, autocommit=True)
        connection.execute("SET default_transaction_read_only = on")
        for kind in ("json", "jsonb"):
            # As the database writes it, not as Python writes a dict.
            connection.adapters.register_loader(
                kind, psycopg.types.string.TextLoader
            )
        return connection


def _with_key(url: str, key: list[str] | None) -> tuple[str, list[str] | None]:
    """Returns a URL that names the key, and the key."""
    query = urllib.parse.urlsplit(url).query
    named = [
        urllib.parse.unquote(name)
        for part in query.split("&")
        if _is_key(part)
        for name in part[len(_KEY) :].split(",")
    ]
    is_other = key is not None and named not in ([], key)
    if not all(named) or is_other or key == []:
        raise ValueError(
            "Expected names of columns in key, or in the URL, or the same in "
            f"both; got key={key!r:.200} and "
            f"{without_password(url)!r:.300}."
        )
    if named or key is None:
        return url, named or None
    text = _KEY + ",".join(urllib.parse.quote(name, safe="") for name in key)
    # Not put together by urllib, which drops the slashes of an empty host.
    front, _, table = url.partition("#")
    front += f"&{text}" if "?" in front else f"?{text}"
    return f"{front}#{table}", key


def _is_key(part: str) -> bool:
    return part.startswith(_KEY)


def _listed(names: Sequence[str]) -> list[str]:
    """Returns names as a list; a text has commas between them."""
    return names.split(",") if isinstance(names, str) else list(names)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
