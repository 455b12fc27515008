"""Look-ups that go together on PostgreSQL: each finds what it would find alone, and fails for nobody else."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable
from operator import itemgetter
from typing import Any, cast
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import Float, Integer, Select, bindparam, insert, select, text

from doable import runtime
from doable.accounts.statements.principals import PRINCIPAL_OF_SESSION, PRINCIPAL_OF_TOKEN
from doable.core import db, ids
from doable.core.db import Database
from doable.core.executors.postgres import lookups, native
from doable.core.queries import Query, query, scalar
from doable.core.streams import streams
from doable.lists.statements import HOME
from doable.settings import Settings
from doable.todos.statements import TODO, TODO_WITH_STREAM
from tests.support import statements
from tests.support.people import Person, register

pytestmark = [
    pytest.mark.parametrize("database_url", ["postgresql"], indirect=True),
    pytest.mark.parametrize("settings", [{"executor": "native", "database_pool_size": 4}], indirect=True),
]

REVISION: Query[int] = query(scalar, select(streams.c.revision).where(streams.c.id == bindparam("id")), by_key=True)
INVERSE: Query[int] = Query(
    itemgetter(0), text("SELECT 100 / :by").bindparams(bindparam("by", type_=Integer)), by_key=True
)
SLOW: Query[object] = Query(
    tuple, text("SELECT pg_sleep(:seconds)").bindparams(bindparam("seconds", type_=Float)), by_key=True
)
KILL: Query[object] = Query(
    tuple,
    text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%pg_sleep%'"
    ),
)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    opened = runtime.open_database(settings)
    yield opened
    await opened.close()


async def _streams(database: Database, number: int) -> list[UUID]:
    made = [ids.new_id() for _ in range(number)]
    async with database.transaction() as tx:
        for revision, stream in enumerate(made):
            await tx.execute(insert(streams), id=stream, revision=revision)
    return made


async def test_each_finds_his_own_and_few_statements_are_run(database: Database) -> None:
    made = await _streams(database, 40)
    told: list[str] = []
    database.watchers.append(told.append)
    wanted = [*made, *(ids.new_id() for _ in range(10)), *made]
    found = await asyncio.gather(*(_revision(database, stream) for stream in wanted))
    assert found == [*range(40), *[None] * 10, *range(40)]
    # The first one finds nobody under way; the others go by as many as fit.
    assert len(told) == 1 + -(-(len(wanted) - 1) // lookups.MOST)


async def test_who_looks_for_something_else_goes_his_own_way(database: Database) -> None:
    (stream,) = await _streams(database, 1)
    asked: list[Awaitable[object]] = [_revision(database, stream) for _ in range(5)]
    asked += [_look(database, 5) for _ in range(5)]
    assert await asyncio.gather(*asked) == [0] * 5 + [20] * 5


async def test_whatever_is_marked_can_go_together(database: Database) -> None:
    marked = [one.question for one in statements.kept() if isinstance(one.question, Query) and one.question.by_key]
    assert {TODO, TODO_WITH_STREAM, HOME, PRINCIPAL_OF_SESSION, PRINCIPAL_OF_TOKEN} <= set(marked)
    told: list[str] = []
    database.watchers.append(told.append)
    for question in marked:
        names = [bind.key for bind in cast("Select[Any]", question.statement).compile().binds.values() if bind.required]
        nothing = dict.fromkeys(names)
        told.clear()
        found = await asyncio.gather(*(database.reads.first(question, **nothing) for _ in range(4)))
        assert found == [None] * 4, question.statement
        assert len(told) == 2, question.statement  # as one, PostgreSQL has not refused it


async def test_a_key_that_cannot_be_looked_for_fails_for_nobody_else(database: Database) -> None:
    for bad in range(6):
        by = [10] * 6
        by[bad] = 0
        found = await asyncio.gather(*(_look(database, n) for n in by), return_exceptions=True)
        assert [isinstance(one, Exception) for one in found] == [n == 0 for n in by], bad
        assert [one for one in found if not isinstance(one, Exception)] == [10] * 5


@pytest.mark.parametrize("leaver", range(4))
async def test_who_leaves_takes_nobody_with_him_and_makes_nobody_ask_again(database: Database, leaver: int) -> None:
    told: list[str] = []
    database.watchers.append(told.append)
    looking = [asyncio.create_task(database.reads.first(SLOW, seconds=0.3)) for _ in range(4)]
    await asyncio.sleep(0.1)
    looking[leaver].cancel()
    found = await asyncio.gather(*looking, return_exceptions=True)
    assert [isinstance(one, asyncio.CancelledError) for one in found] == [one == leaver for one in range(4)]
    assert len(told) == 2  # the first one alone, and the others together
    assert database.pool_status().in_use == 0


async def test_who_leaves_before_it_is_asked_takes_nobody_with_him(database: Database) -> None:
    for leaver in range(4):
        looking = [asyncio.create_task(_look(database, 5)) for _ in range(4)]
        await asyncio.sleep(0)
        looking[leaver].cancel()
        found = await asyncio.gather(*looking, return_exceptions=True)
        assert [one for one in found if not isinstance(one, asyncio.CancelledError)] == [20] * 3


async def test_who_leaves_before_it_is_asked_leaves_no_error_behind(database: Database, settings: Settings) -> None:
    left: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: left.append(context))
    looking = [asyncio.create_task(database.reads.first(SLOW, seconds=30)) for _ in range(4)]
    await asyncio.sleep(0)
    looking[1].cancel()
    await asyncio.sleep(0.3)
    watcher = runtime.open_database(settings.model_copy(update={"executor": "sqlalchemy"}))
    await watcher.reads.all(KILL)
    await watcher.close()
    await asyncio.gather(*looking, return_exceptions=True)
    del looking
    gc.collect()
    assert left == []


async def test_a_database_that_goes_is_told_to_all_of_them(database: Database, settings: Settings) -> None:
    watcher = runtime.open_database(settings.model_copy(update={"executor": "sqlalchemy"}))
    looking = [asyncio.create_task(database.reads.first(SLOW, seconds=30)) for _ in range(8)]
    await asyncio.sleep(0.3)
    await watcher.reads.all(KILL)
    found = await asyncio.wait_for(asyncio.gather(*looking, return_exceptions=True), 3)
    assert all(isinstance(one, db.Unavailable) for one in found), found
    assert len({id(one) for one in found}) == len(found)  # each has an error, and a traceback, of his own
    assert await _look(database, 5) == 20
    await watcher.close()


async def test_silence_is_waited_for_by_all_of_them_together(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _look(database, 5)
    monkeypatch.setattr(native, "TIMEOUT", 0.3)
    began = asyncio.get_running_loop().time()
    looking = (database.reads.first(SLOW, seconds=30) for _ in range(8))
    found = await asyncio.wait_for(asyncio.gather(*looking, return_exceptions=True), 3)
    assert all(isinstance(one, db.Unavailable) for one in found), found
    assert asyncio.get_running_loop().time() - began < 2 * 0.3 + 0.6


async def test_in_a_crowd_everybody_sees_his_own_and_nothing_of_others(client: httpx2.AsyncClient) -> None:
    people: list[Person] = [await register(client, f"person{number}") for number in range(4)]
    todos = {
        person.user["id"]: [await person.todo(title=f"{person.user['id']} {n}") for n in range(5)] for person in people
    }
    asked: list[tuple[Person, str, bool]] = [
        (reader, todo["id"], reader is owner)
        for reader in people for owner in people for todo in todos[owner.user["id"]]
    ]  # fmt: skip
    answers = await asyncio.gather(*(reader.get(f"/todos/{todo_id}") for reader, todo_id, _ in asked))
    for (reader, todo_id, own), answer in zip(asked, answers, strict=True):
        assert answer.status_code == (200 if own else 404), (reader.user["id"], todo_id)
        if own:
            assert answer.json()["id"] == todo_id
            assert answer.json()["title"].startswith(reader.user["id"])


async def _revision(database: Database, stream: UUID) -> object:
    return await database.reads.first(REVISION, id=stream)


async def _look(database: Database, by: int) -> object:
    return await database.reads.first(INVERSE, by=by)
