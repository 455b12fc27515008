"""What a plan is asked for that no statement of the application asks for yet, or that would be a mistake."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import JSON, Column, Integer, MetaData, Table, bindparam, insert, select

from doable import runtime
from doable.core import ids
from doable.core.db import Database
from doable.core.executors import plans
from doable.core.executors.postgres.native import Postgres
from doable.core.executors.sqlite.native import Sqlite
from doable.core.queries import Query, query, scalar
from doable.core.streams import streams
from doable.settings import Settings

AMONG: Query[int] = query(
    scalar,
    select(streams.c.revision)
    .where(streams.c.revision.in_(bindparam("revisions", expanding=True)), streams.c.revision.in_((1, 2, 3)))
    .order_by(streams.c.revision),
)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    opened = runtime.open_database(settings.model_copy(update={"executor": "native"}))
    yield opened
    await opened.close()


async def test_a_list_may_have_any_length(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "MOST_LENGTHS", 3)
    async with database.transaction() as tx:
        await tx.many(insert(streams), [{"id": ids.new_id(), "revision": n} for n in range(5)])
    for length in (2, 0, 5, 1, 4, 2):
        assert await database.reads.all(AMONG, revisions=list(range(length))) == list(range(1, min(length, 4)))


async def test_a_forgotten_parameter_is_named(database: Database) -> None:
    with pytest.raises(TypeError, match="revisions"):
        await database.reads.all(AMONG)
    with pytest.raises(TypeError, match="the_id"):
        await database.reads.all(query(scalar, select(streams.c.revision).where(streams.c.id == bindparam("the_id"))))
    assert database.pool_status().in_use == 0


async def test_the_default_of_a_parameter_holds_until_it_is_given(database: Database) -> None:
    question: Query[int] = query(scalar, select(bindparam("number", 7, type_=Integer).label("number")))
    assert await database.reads.one(question) == 7
    assert await database.reads.one(question, number=8) == 8


@pytest.mark.parametrize("value", [{"a": [1, None, "ü"]}, [], "text", 0, True])
async def test_json_goes_in_and_out_as_values(settings: Settings, value: object) -> None:
    question: Query[object] = query(scalar, select(bindparam("value", type_=JSON).label("value")))
    for name in ("native", "sqlalchemy"):
        database = runtime.open_database(settings.model_copy(update={"executor": name}))
        assert await database.reads.one(question, value=value) == value
        await database.close()


async def test_values_that_sqlalchemy_would_make_while_it_executes_are_refused(database: Database) -> None:
    numbers = Table("numbers", MetaData(), Column("id", Integer, primary_key=True), Column("n", Integer, default=1))
    with pytest.raises(TypeError, match="not supported"):
        async with database.transaction() as tx:
            await tx.execute(insert(numbers), id=1)


async def test_statements_that_are_built_on_each_call_are_forgotten(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "MOST", 10)
    for number in range(25):
        assert (
            await database.reads.one(query(scalar, select(bindparam("n", number, type_=Integer).label("n")))) == number
        )
    assert isinstance(database.executor, Postgres | Sqlite)
    assert len(database.executor.plans._plans) <= 10
