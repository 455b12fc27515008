"""Answers that are kept for a day, so that a request sent again under the same key is answered and not repeated.

The row of a key is written first in the transaction of the effect: whoever inserts it owns the key. The answer is
written last, or with it, where it is known by then.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    Column,
    Index,
    Integer,
    LargeBinary,
    Named,
    Table,
    Text,
    TypedColumns,
    bindparam,
    delete,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert  # SQLite's ON CONFLICT is the same text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from doable.core.queries import Query, query, scalar
from doable.core.tables import Digest, Id, Instant, Sorted, metadata

KEPT = timedelta(hours=24)


class Reply(NamedTuple):
    """The answer to a request, and the fingerprint of the request."""

    fingerprint: bytes
    status: int
    body: bytes
    etag: str | None
    location: str | None
    position: str | None


class ReplyColumns(TypedColumns):
    user_id: Named[UUID] = Column(Id, primary_key=True)
    key: Named[str] = Column(Sorted, primary_key=True)
    fingerprint: Named[bytes] = Column(Digest)
    status: Named[int] = Column(Integer)  # 0 until the transaction ends
    body: Named[bytes] = Column(LargeBinary)
    etag: Named[str | None] = Column(Text)
    location: Named[str | None] = Column(Text)
    position: Named[str | None] = Column(Text)
    expires_at: Named[datetime] = Column(Instant)


table = Table("idempotency", metadata, ReplyColumns, Index("ix_idempotency_expires_at", "expires_at"))


class _LockTimeout(FunctionElement[str]):
    """Sets PostgreSQL's `lock_timeout` for the rest of the transaction; SQLite's writers wait at BEGIN, if at all."""

    inherit_cache = True
    type = Text()


@compiles(_LockTimeout, "postgresql")
def _set_lock_timeout(element: _LockTimeout, compiler: SQLCompiler, **options: Any) -> str:
    return f"set_config('lock_timeout', {compiler.process(element.clauses, **options)}, true)"


@compiles(_LockTimeout, "sqlite")
def _set_nothing(element: _LockTimeout, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


def _claim() -> Query[object]:
    columns = [column.name for column in table.c]
    given = [bindparam(f"new_{name}", type_=table.c[name].type) for name in columns]
    wait = _LockTimeout(bindparam("wait", type_=Text())).is_not(None)
    inserting = insert(table).from_select(columns, select(*given).where(wait))
    taken_over = {name: inserting.excluded[name] for name in columns if name not in {"user_id", "key"}}
    return query(
        scalar,
        inserting.on_conflict_do_update(
            index_elements=["user_id", "key"],
            set_=taken_over,
            where=table.c.expires_at <= bindparam("now", type_=table.c.expires_at.type),
        ).returning(_LockTimeout(literal_column("'0'")).label("claimed")),
    )


CLAIM = _claim()
"""A row when the key was free or has expired. Another transaction's claim of it is waited for: `wait` milliseconds.

With a reply, where it is known and all is written by one statement; else that follows by `SETTLE`.
"""
REPLY: Query[Reply] = query(
    Reply,
    select(*(table.c[name] for name in Reply._fields)).where(
        table.c.user_id == bindparam("user_id"), table.c.key == bindparam("key"), table.c.expires_at > bindparam("now")
    ),
)
SETTLE = (
    update(table)
    .where(table.c.user_id == bindparam("owner_id"), table.c.key == bindparam("owned_key"))
    .values({name: bindparam(name) for name in Reply._fields})
)
FORGET = delete(table).where(table.c.user_id == bindparam("user_id"))
PURGE = delete(table).where(
    table.c.expires_at <= bindparam("now"),  # again, for a row that is taken over meanwhile
    tuple_(table.c.user_id, table.c.key).in_(
        select(table.c.user_id, table.c.key)
        .where(table.c.expires_at <= bindparam("now"))
        .limit(bindparam("most", type_=Integer))
    ),
)
