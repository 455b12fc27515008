"""What is particular about SQLite, whoever speaks to it: bounds, pragmas, its errors in our words."""

import re
import sqlite3
from collections.abc import Callable

from sqlalchemy import Index, MetaData, PrimaryKeyConstraint, UniqueConstraint

from doable.core.faults import (
    CheckViolation,
    DatabaseError,
    ForeignKeyViolation,
    SerializationFailure,
    Unavailable,
    UniqueViolation,
    Unreachable,
)

READERS = 8
"""More connections, each with a thread of its own, do not read faster."""
WRITER_WAIT = 5
"""Seconds that a writer waits for its turn."""

_KINDS: dict[str, type[DatabaseError]] = {
    "SQLITE_CONSTRAINT_UNIQUE": UniqueViolation,
    "SQLITE_CONSTRAINT_PRIMARYKEY": UniqueViolation,
    "SQLITE_CONSTRAINT_FOREIGNKEY": ForeignKeyViolation,
    "SQLITE_CONSTRAINT_CHECK": CheckViolation,
    "SQLITE_CONSTRAINT_NOTNULL": CheckViolation,
    "SQLITE_BUSY": Unreachable,  # for as long as anybody waits
    "SQLITE_BUSY_SNAPSHOT": SerializationFailure,
}
_FAMILIES = (
    "SQLITE_BUSY",
    "SQLITE_LOCKED",
    "SQLITE_FULL",
    "SQLITE_IOERR",
    "SQLITE_CANTOPEN",
    "SQLITE_NOMEM",
    "SQLITE_READONLY",
)


READ_ONLY = "query_only=ON"
STATISTICS = "optimize=0x10002"
"""Without them SQLite walks the wrong index; the writer looks after them now and then."""

type Translate = Callable[[BaseException], BaseException]


def pragmas(synchronous: str) -> tuple[str, ...]:
    """Of every connection."""
    return (
        "journal_mode=WAL",
        f"synchronous={synchronous}",
        "foreign_keys=ON",
        f"busy_timeout={WRITER_WAIT * 1000}",
        "cache_size=-16384",
    )


def translation(metadata: MetaData) -> Translate:
    """What an error of the driver means to us; itself if nothing."""
    names = _constraint_names(metadata)

    def translate(error: BaseException) -> BaseException:
        code: str | None = getattr(error, "sqlite_errorname", None)
        if not isinstance(error, sqlite3.Error) or code is None:
            return error
        kind = _KINDS.get(code) or (Unavailable if code.startswith(_FAMILIES) else None)
        if kind is None:
            return error
        found = re.match(r"(?:UNIQUE|CHECK) constraint failed: (?:index ')?([^']+)", str(error))
        return kind(str(error), names.get(found[1], found[1]) if found else None)

    return translate


def _constraint_names(metadata: MetaData) -> dict[str, str]:
    """SQLite reports the columns of a violated unique constraint; PostgreSQL, and our code, its name."""
    names: dict[str, str] = {}
    for table in metadata.tables.values():
        unique: list[Index | UniqueConstraint | PrimaryKeyConstraint] = [i for i in table.indexes if i.unique]
        unique += [c for c in table.constraints if isinstance(c, UniqueConstraint | PrimaryKeyConstraint)]
        for rule in unique:
            names[", ".join(f"{table.name}.{column.name}" for column in rule.columns)] = str(rule.name)
    return names
