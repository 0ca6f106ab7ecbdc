"""MaxCompute (ODPS) tables, cut by records; optional, and not met in tests.

    source = OdpsTable("odps://project/tables/clicks/ds=20210101")

Needs pyodps (pip install pyodps) and its usual settings: ODPS_ACCESS_ID,
ODPS_ACCESS_KEY and ODPS_ENDPOINT in the environment. The trap: this module is
tested against a local stand-in of pyodps only; it has not met the service.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from wq_hooks.core.items.slice_text import slice_text
from wq_hooks.errors import SourceError
from wq_hooks.sources.source_errors import (
    missing_package_error,
    naming,
    shorter_error,
)

_SCHEME = "odps://"
_VARIABLES = ("ODPS_ACCESS_ID", "ODPS_ACCESS_KEY", "ODPS_ENDPOINT")


class OdpsTable:
    """The records of one table, or of one partition of it.

    Args:
      url: `odps://<project>/tables/<table>[/<key>=<value>...]`.
      columns: Names of the columns that are read; None: all.
      connect: Returns pyodps's ODPS for a project; None: from the
        environment.

    Raises:
      ValueError: If the URL is not of this form.
    """

    def __init__(
        self,
        url: str,
        *,
        columns: Sequence[str] | None = None,
        connect: Callable[[str], Any] | None = None,
    ):
        project, *rest = url[len(_SCHEME) :].strip("/").split("/")
        if (
            not url.startswith(_SCHEME)
            or len(rest) < 2
            or rest[0] != "tables"
            or not all("=" in part for part in rest[2:])
        ):
            raise ValueError(
                "Expected odps://<project>/tables/<table>[/<key>=<value>...]; "
                f"got {url!r:.300}."
            )
        self.name = url
        self._project, self._table = project, rest[1]
        self._partition = ",".join(rest[2:]) or None
        self._columns = None if columns is None else list(columns)
        self._connect = connect or _connect

    def __repr__(self) -> str:
        return f"OdpsTable({self.name!r})"

    @property
    def column_names(self) -> list[str]:
        """Names of the columns, in the order of a record's values.

        Raises:
          SourceError: If the table cannot be read.
        """
        if self._columns is not None:
            return self._columns
        with naming(self.name):
            table = self._connect(self._project).get_table(self._table)
            return [c.name for c in table.table_schema.simple_columns]

    def count_records(self) -> int:
        """Returns the number of records.

        Raises:
          SourceError: If the table cannot be read.
        """
        with naming(self.name), self._reader() as reader:
            return int(reader.count)

    def read(self, start: int, end: int) -> Iterator[tuple[Any, ...]]:
        """Yields records [start, end).

        Raises:
          SourceError: If the table cannot be read, or has not so many records
            (any more).
        """
        text, num, count = slice_text(self.name, start, end), end - start, 0
        with naming(text), self._reader() as reader:
            for record in reader.read(start, num, columns=self._columns):
                count += 1
                yield tuple(record.values)
            if count < num:
                raise shorter_error(f"{num} records", text, count)

    @contextlib.contextmanager
    def _reader(self) -> Iterator[Any]:
        table = self._connect(self._project).get_table(self._table)
        with table.open_reader(partition=self._partition) as reader:
            yield reader


def _connect(project: str) -> Any:
    try:
        import odps
    except ImportError as e:
        raise missing_package_error("pyodps", _SCHEME, "pyodps") from e
    missing = [name for name in _VARIABLES if not os.environ.get(name)]
    if missing:
        raise SourceError(
            f"Expected {', '.join(missing)} in the environment, to read "
            "odps:// tables."
        )
    access_id, key, endpoint = (os.environ[name] for name in _VARIABLES)
    return odps.ODPS(access_id, key, project, endpoint=endpoint)
