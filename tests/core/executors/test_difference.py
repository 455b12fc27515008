"""Every statement of the application, run by both executors on one database: same rows, names, types and errors."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Table, select
from sqlalchemy.engine.interfaces import Dialect

from doable.core import clock, pages
from doable.core.db import Database, DatabaseError, Transaction
from doable.core.executors.alchemy import Alchemy
from doable.core.executors.postgres.native import Postgres
from doable.core.executors.sqlite.native import Sqlite
from doable.core.queries import Query
from doable.core.tables import metadata
from tests.support import statements
from tests.support.statements import Both, Kept, Values

SETS = 6
"""Of parameters, for each statement."""
type Way = Callable[[Transaction], Awaitable[list[Any]]]


class Undone(Exception):
    """Rolls back, and takes along what was seen."""

    def __init__(self, seen: list[Any]) -> None:
        super().__init__()
        self.seen = seen


@pytest.mark.timeout(300)
async def test_every_statement_means_the_same_to_both(both: Both) -> None:
    native, reference = both
    assert isinstance(native.executor, Sqlite | Postgres)
    assert isinstance(reference.executor, Alchemy)
    dialect = native.executor.plans.dialect
    values = Values({table: await reference.reads.all(_whole(table)) for table in metadata.sorted_tables}, seed=6)
    everything = statements.kept()
    fruitful: set[str] = set()
    refused: set[str] = set()
    for kept in everything:
        for _ in range(SETS):
            params = values.of(kept.statement, dialect)
            ways = _ways(kept, params, dialect)
            for way in ways:
                expected, found = await _outcome(reference, way), await _outcome(native, way)
                assert found == expected, f"{kept.name} with {params}"
                if isinstance(found, str):
                    refused.add(kept.name)
                elif any(found):
                    fruitful.add(kept.name)
    assert len(everything) > 150
    assert len(fruitful) > 0.4 * len(everything), "few statements have found or changed anything"
    assert refused


def _ways(kept: Kept, params: dict[str, object], dialect: Dialect) -> list[Way]:
    """Each of the methods that the statement may be given to, followed by a look at what it has left."""
    table: Table | None = kept.statement.table if kept.statement.is_dml else None

    async def look(tx: Transaction) -> list[Any]:
        return [] if table is None else [_typed(row) for row in await tx.all(_whole(table))]

    async def ask(tx: Transaction) -> list[Any]:
        shaped = isinstance(kept.question, Query) and kept.question.make is not pages._raw
        question = kept.question if shaped else Query(tuple, kept.statement)
        return [_typed(row) for row in await tx.all(question, **params)] + await look(tx)

    async def execute(tx: Transaction) -> list[Any]:
        return [await tx.execute(kept.statement, **params), *await look(tx)]

    async def many(tx: Transaction) -> list[Any]:
        await tx.many(kept.statement, [params, params])
        return await look(tx)

    if isinstance(kept.question, Query) or table is None:
        return [ask]
    compiled: Any = kept.statement.compile(dialect=dialect, column_keys=list(params))
    return [execute] if compiled.post_compile_params else [execute, many]  # SQLAlchemy refuses lists of parameters then


async def _outcome(database: Database, way: Way) -> list[Any] | str:
    async def run() -> None:
        async with database.transaction() as tx:
            raise Undone(await way(tx))

    try:
        await run()
    except Undone as undone:
        return undone.seen
    except DatabaseError as error:
        return f"{type(error).__name__} {error.constraint}"
    except Exception:  # noqa: BLE001 — a bug is a bug to both
        return "refused"
    raise AssertionError("it was not undone")


def _typed(row: Any) -> object:
    names = getattr(type(row), "_fields", None)
    return names, tuple((type(value), _steady(value)) for value in (row if isinstance(row, tuple) else (row,)))


def _steady(value: object) -> object:
    """What the database's clock has said is another thing a moment later."""
    recent = isinstance(value, datetime) and abs(clock.now() - value) < timedelta(minutes=5)
    return "now" if recent else "an age" if isinstance(value, float) else value


def _whole(table: Table) -> Query[Any]:
    return Query(tuple, select(table).order_by(*table.primary_key.columns))
