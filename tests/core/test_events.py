"""The log under the features: revisions without a gap, and a reader that notices one."""

from collections.abc import AsyncIterator

import pytest

from doable import runtime
from doable.core import clock, ids, streams
from doable.core import events as log
from doable.core.db import Database
from doable.core.errors import AppException, Code
from doable.core.events import Event
from doable.settings import Settings


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    opened = runtime.open_database(settings)
    yield opened
    await opened.close()


async def test_the_events_of_an_operation_have_neighbouring_revisions(database: Database) -> None:
    stream_id, subject_id, actor_id = ids.new_id(), ids.new_id(), ids.new_id()
    cause = log.operation(actor_id, clock.now())
    told = [Event("kind.one", "{}"), Event("kind.two", '{"n":2}', subject_id), Event("kind.three", '"\u017e"')]
    async with database.transaction() as tx:
        await streams.open_stream(tx, stream_id, 1)
        await log.append(tx, stream_id, 1, cause, Event("kind.zero", "{}"))
        await log.append(tx, stream_id, await streams.bump(tx, stream_id, 3), cause, *told)
    rows = await log.since(database.reads, stream_id, 1, 4, 10)
    assert [(row.revision, row.kind, row.data) for row in rows] == [
        (2, "kind.one", "{}"),
        (3, "kind.two", '{"n":2}'),
        (4, "kind.three", '"\u017e"'),
    ]
    assert {(row.operation_id, row.actor_id, row.at) for row in rows} == {cause}


async def test_a_reader_gets_nothing_beyond_the_revision_that_it_read(database: Database) -> None:
    stream_id = ids.new_id()
    async with database.transaction() as tx:
        await streams.open_stream(tx, stream_id, 3)
        await log.append(tx, stream_id, 3, log.operation(None, clock.now()), *[Event("kind", "{}")] * 3)
    assert [row.revision for row in await log.since(database.reads, stream_id, 0, 2, 10)] == [1, 2]
    assert [row.revision for row in await log.since(database.reads, stream_id, 0, 2, 1)] == [1]
    assert await log.since(database.reads, stream_id, 2, 2, 10) == []


@pytest.mark.parametrize(("after", "until"), [(0, 3), (1, 3), (4, 3)])
async def test_a_gap_before_the_first_event_is_a_lost_position(database: Database, after: int, until: int) -> None:
    stream_id = ids.new_id()
    async with database.transaction() as tx:
        await streams.open_stream(tx, stream_id, 3)
        await log.append(tx, stream_id, 3, log.operation(None, clock.now()), Event("kind", "{}"))
    assert len(await log.since(database.reads, stream_id, 2, 3, 10)) == 1
    with pytest.raises(AppException) as refusal:
        await log.since(database.reads, stream_id, after, until, 10)
    assert refusal.value.code == Code.POSITION_LOST


async def test_a_bump_that_is_taken_back_leaves_no_gap(database: Database) -> None:
    stream_id = ids.new_id()
    async with database.transaction() as tx:
        await streams.open_stream(tx, stream_id, 0)
        assert await streams.bump(tx, stream_id) == 1
        await streams.take_back(tx, stream_id)
        assert await streams.bump(tx, stream_id) == 1


async def test_a_stream_that_has_gone_meanwhile_is_not_found(database: Database) -> None:
    with pytest.raises(AppException) as refused:
        async with database.transaction() as tx:
            await streams.bump(tx, ids.new_id())
    assert refused.value.code is Code.NOT_FOUND
