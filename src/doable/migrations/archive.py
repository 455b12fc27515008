"""The whole database as one file: written from one snapshot, read into an empty database of either kind.

The file is gzipped JSON, a line each: a header, then for each table its columns and its rows, then the number of rows,
which says that nothing is missing.
"""

import asyncio
import base64
import gzip
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import IO, Any, NamedTuple
from uuid import UUID

import orjson
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    LargeBinary,
    MetaData,
    Select,
    Table,
    Text,
    inspect,
    literal,
    select,
)
from sqlalchemy import Column as TableColumn
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from doable import migrations
from doable.core import clock, instance
from doable.core.jobs import MAIL, statements
from doable.core.tables import Id, Instant, metadata

FORMAT = 1
_AT_ONCE = 500


class ArchiveError(Exception):
    """The file cannot be restored, or not here; the message says why."""


class Kind(NamedTuple):
    """How the values of a column travel: as JSON has them unless there is more to say."""

    type: Callable[[], TypeEngine[Any]]
    read: Callable[[Any], object] | None = None


KINDS = {
    UUID: ("id", Kind(Id, UUID)),
    datetime: ("instant", Kind(Instant, datetime.fromisoformat)),
    bytes: ("bytes", Kind(LargeBinary, base64.b64decode)),
    bool: ("bool", Kind(Boolean)),
    int: ("int", Kind(BigInteger)),
    str: ("text", Kind(Text)),
}
_BY_NAME = dict(KINDS.values())


async def write(connection: AsyncConnection, file: IO[bytes]) -> int:
    """Write everything that `connection`, a snapshot, sees; gives the number of rows."""
    count = 0
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6) as out:
        schema = await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
        header = {"doable": FORMAT, "schema": schema, "made_at": clock.iso(clock.now())}
        out.write(_line(header))
        for table in _kept():
            columns = {column.name: KINDS[column.type.python_type][0] for column in table.columns}
            out.write(_line({"table": table.name, "columns": columns}))
            async with connection.stream(_all(table)) as rows:
                async for some in rows.partitions(_AT_ONCE):
                    lines = b"".join(_line([_plain(value) for value in row]) for row in some)
                    await asyncio.to_thread(out.write, lines)
                    count += len(some)
        out.write(_line({"rows": count}))
    return count


async def read(connection: AsyncConnection, file: IO[bytes]) -> int:
    """Fill the empty database of `connection`, bring it to the newest schema and give it a new epoch.

    Raises `ArchiveError`; the transaction of `connection` is to be rolled back then.
    """
    return await connection.run_sync(_read, file)


def new_epoch(connection: Connection) -> str:
    """What every client has counted so far means nothing any more, and mails that waited have been sent since."""
    epoch = instance.new_epoch()
    connection.execute(instance.instance.update().values(epoch=epoch))
    connection.execute(statements.CANCEL_QUEUE, {"of_queue": MAIL.name})
    return epoch


def _read(connection: Connection, file: IO[bytes]) -> int:
    if inspect(connection).get_table_names():
        raise ArchiveError("The database is not empty. Name a new one by DATABASE_URL; nothing is ever overwritten.")
    lines = _lines(file)
    header = next(lines, None)
    if not isinstance(header, dict) or header.get("doable") != FORMAT:
        raise ArchiveError("This is no backup that this version can read.")
    _refuse_unknown(str(header["schema"]))
    migrations.upgrade_to(connection, str(header["schema"]))
    count = _fill(connection, lines)
    migrations.upgrade_to(connection, "head")
    new_epoch(connection)
    return count


def _refuse_unknown(revision: str) -> None:
    scripts = ScriptDirectory.from_config(migrations.script_config())
    if revision not in {script.revision for script in scripts.walk_revisions()}:
        raise ArchiveError("The backup was made by a newer version of Doable; install that one.")


def _fill(connection: Connection, lines: Iterator[Any]) -> int:
    count, target = 0, None
    for line in lines:
        if isinstance(line, list) and target is not None:
            target.add(line)
            count += 1
            continue
        if target is not None:
            target.flush()
        if (
            line.get("rows") == count and next(lines, None) is None
        ):  # read to its end, the file is proved by its checksum
            return count
        target = _Target(connection, line["table"], line["columns"])
    raise ArchiveError("The backup is not complete.")


class _Target:
    """A table as it was when the backup was made, which need not be as the code has it today."""

    def __init__(self, connection: Connection, name: str, columns: dict[str, str]) -> None:
        kinds = {column: _BY_NAME[kind] for column, kind in columns.items()}
        self._table = Table(name, MetaData(), *(TableColumn(column, kind.type()) for column, kind in kinds.items()))
        self._readers = [(column, kind.read) for column, kind in kinds.items()]
        self._connection = connection
        self._batch: list[dict[str, object]] = []
        connection.execute(self._table.delete())  # what migrations have put there

    def add(self, values: list[Any]) -> None:
        pairs = zip(self._readers, values, strict=True)
        self._batch.append(
            {name: value if read is None or value is None else read(value) for (name, read), value in pairs}
        )
        if len(self._batch) == _AT_ONCE:
            self.flush()

    def flush(self) -> None:
        if self._batch:
            self._connection.execute(self._table.insert(), self._batch)
            self._batch = []


def _lines(file: IO[bytes]) -> Iterator[Any]:
    try:
        with gzip.open(file) as text:
            for line in text:
                yield orjson.loads(line)
    except (OSError, EOFError, zlib.error, orjson.JSONDecodeError) as error:
        raise ArchiveError("The file is damaged, or no backup.") from error


def _kept() -> Iterator[Table]:
    """In an order in which each row finds those that it refers to; what triggers write is left to them."""
    return (table for table in metadata.sorted_tables if not table.info.get("written_by_triggers"))


def _all(table: Table) -> Select[Any]:
    """Every row; where rows of a table refer to others of it, those come first."""
    for key in table.foreign_keys:
        if key.column.table is table:
            (own,) = table.primary_key.columns
            roots = select(own.label("id"), literal(0).label("depth")).where(key.parent.is_(None)).cte(recursive=True)
            tree = roots.union_all(select(own, roots.c.depth + 1).join(roots, key.parent == roots.c.id))
            return select(table).join(tree, tree.c.id == own).order_by(tree.c.depth)
    return select(table)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return clock.iso(value)
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _line(value: object) -> bytes:
    return orjson.dumps(value, default=str, option=orjson.OPT_APPEND_NEWLINE)
