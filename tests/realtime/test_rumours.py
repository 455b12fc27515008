"""What the hub says may be false: it costs a look at the database, and nothing else."""

import asyncio
import sqlite3
from pathlib import Path
from uuid import UUID

import orjson
import pytest
from pydantic import SecretStr
from sqlalchemy import delete, make_url, update

from doable.accounts import endings
from doable.core import events as log
from doable.core import streams
from doable.core.errors import AppException, Code
from doable.settings import Settings
from tests.support import configuration, databases
from tests.support.people import Person
from tests.support.rooms import Served, eventually, serving

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PROMPTLY = 5.0
MOVED = UUID(int=77)
FALSE = [100_000, 2**63 - 1, 2**63, 2**70, -1]


@pytest.mark.parametrize("number", FALSE)
async def test_after_a_false_number_sessions_still_end(served: Served, ana: Person, number: int) -> None:
    async with served.visit(ana, ana.inbox_id) as seat:
        served.state["hub"].hear_moved(endings.STREAM, number)
        await asyncio.sleep(0.2)  # it is read
        await ana.post("/auth/logout")
        assert (await seat.closed(PROMPTLY))[0] == 4004


@pytest.mark.parametrize("number", FALSE)
async def test_after_a_false_number_a_room_still_hears_and_nobody_was_sent_away(
    served: Served, ana: Person, number: int
) -> None:
    async with served.visit(ana, ana.inbox_id) as seat:
        served.state["hub"].hear_moved(UUID(ana.inbox_id), number)
        await asyncio.sleep(0.2)
        await ana.todo("Milk")
        assert [event["revision"] for event in await seat.events(1)] == [3]


async def test_a_room_that_is_told_of_what_is_not_there_says_so_and_does_not_wait(served: Served, ana: Person) -> None:
    async with served.visit(ana, ana.inbox_id):
        room = served.state["rooms"]._rooms[UUID(ana.inbox_id)]
        async with asyncio.timeout(PROMPTLY):
            with pytest.raises(AppException) as refusal:
                await room.reach(9)
    assert refusal.value.code == Code.UNAVAILABLE


async def test_who_waits_for_a_room_goes_on_where_the_log_has_been_trimmed(served: Served, ana: Person) -> None:
    inbox = UUID(ana.inbox_id)
    async with served.visit(ana, ana.inbox_id) as seat:
        async with served.state["db"].transaction() as tx:
            await tx.execute(update(streams.streams).where(streams.streams.c.id == inbox).values(revision=9, trimmed=9))
            await tx.execute(delete(log.events).where(log.events.c.stream_id == inbox))
        async with asyncio.timeout(PROMPTLY):
            await served.state["rooms"]._rooms[inbox].reach(9)
        code, reason = await seat.closed()
    assert (code, list(orjson.loads(reason))) == (1012, ["retry_after"])


async def test_who_waits_for_a_room_that_is_gone_is_told(served: Served, ana: Person) -> None:
    made = UUID((await ana.list())["id"])
    async with served.visit(ana, str(made)):
        room = served.state["rooms"]._rooms[made]
        room._source = room._source._replace(may_deliver=lambda: False)
        waiting = asyncio.create_task(room.reach(9))
        async with served.state["db"].transaction() as tx:
            await log.forget(tx, made)
        async with asyncio.timeout(PROMPTLY):
            with pytest.raises(AppException) as refusal:
                await waiting
    assert refusal.value.code == Code.UNAVAILABLE


async def test_instances_that_share_a_redis_do_not_hear_each_other(
    settings: Settings, redis_url: str, sqlite_template: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    shared = settings.model_copy(update={"redis_url": SecretStr(redis_url)})
    url = databases.copy_sqlite(sqlite_template, tmp_path / "other")
    other = configuration.make_settings(url, tmp_path / "other" / "data", redis_url=redis_url)
    with sqlite3.connect(make_url(url).database or "") as connection:
        connection.execute("UPDATE instance SET epoch = 'anotherepoch'")
    connection.close()
    heard: list[UUID] = []
    async with serving(shared) as first, serving(shared) as second, serving(other) as stranger:
        hubs = [served.state["hub"] for served in (first, second, stranger)]
        for hub in hubs[1:]:
            hub.on_moved(lambda stream_id, _: heard.append(stream_id))
        await eventually(lambda: not any(hub.degraded for hub in hubs))
        hubs[0].announce({MOVED: 1})
        await eventually(lambda: MOVED in heard)
        await asyncio.sleep(0.5)
    assert heard.count(MOVED) == 1
