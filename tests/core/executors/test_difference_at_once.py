"""Every change of the application as a transaction of its own, by both executors: same answers, errors and rows."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Table, bindparam, delete, insert, update

from doable.accounts.tables import users
from doable.core.db import Database, DatabaseError
from doable.core.queries import Query, Write
from doable.core.streams import streams
from doable.core.tables import metadata
from doable.todos.tables import todo_search
from tests.core.executors.test_difference import _typed, _whole
from tests.support import statements
from tests.support.statements import Both, Values

LATE = "ForeignKeyViolation"
"""Which PostgreSQL looks for at the end of a statement, and so does not find where another change finds no row."""
type Rows = dict[Table, list[Any]]

_RAISE = update(streams).where(streams.c.id == bindparam("one")).values(revision=streams.c.revision + 1)
_MOVE = update(users).where(users.c.id == bindparam("one")).values(timezone="Europe/Zagreb")


@pytest.mark.timeout(300)
async def test_every_change_at_once_means_the_same_to_both(both: Both) -> None:
    native, reference = both
    before = await _rows(reference)
    values = Values(before, seed=7)
    somebody = before[users][0][0]
    changes = [kept for kept in statements.kept() if kept.statement.is_dml and not isinstance(kept.question, Query)]
    seen: set[str] = set()
    for kept in changes:
        beside = Write(_MOVE if kept.statement.table is streams else _RAISE, {"one": somebody})
        never = Write(beside.statement, {"one": UUID(int=2)})
        write = Write(kept.statement, values.of(kept.statement, _dialect(native)))
        for writes in ([write], [write, beside], [beside, write], [write, never], [never, write]):
            expected = await _outcome(reference, before, writes)
            found = await _outcome(native, before, writes)
            if found[0] == expected[0] == "refused":  # values of a wrong type: the others are not run then
                break
            if never not in writes or LATE not in f"{found[0]} {expected[0]}":
                assert found == expected, f"{kept.name} with {write.params}"
            assert never not in writes or found[0] is not True, f"{kept.name} is there without the other"
            seen.add(str(found[0]).partition(" ")[0])
        assert await _rows(native) == before, f"{kept.name} was refused and has left something"
    assert len(changes) > 60
    assert seen >= {"True", "False", "UniqueViolation", LATE}, seen


async def _outcome(database: Database, before: Rows, writes: list[Write]) -> tuple[bool | str, dict[str, Any]]:
    """What is answered, and what the tables that are not as before have now; then they are as before again."""
    try:
        async with database.transaction() as tx:
            if not await tx.at_once(*writes):
                return False, {}
    except DatabaseError as error:
        return f"{type(error).__name__} {error.constraint}", {}
    except Exception:  # noqa: BLE001 — a bug is a bug to both
        return "refused", {}
    after = await _rows(database)
    await _restore(database, before)
    return True, {table.name: [_typed(row) for row in rows] for table, rows in after.items() if rows != before[table]}


async def _restore(database: Database, before: Rows) -> None:
    async with database.transaction() as tx:
        for table in reversed(metadata.sorted_tables):
            await tx.execute(delete(table))
        for table, rows in before.items():
            if table is todo_search:  # a trigger of `todos` has filled it
                continue
            await tx.many(insert(table), [dict(zip(table.c.keys(), row, strict=True)) for row in rows])


async def _rows(database: Database) -> Rows:
    async with database.snapshot() as reads:
        return {table: await reads.all(_whole(table)) for table in metadata.sorted_tables}


def _dialect(native: Database) -> Any:
    executor: Any = native.executor
    return executor.plans.dialect
