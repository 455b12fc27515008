"""The old end of the log goes, the numbers stay, and who is behind it is told; so do lists deleted long ago."""

import datetime as dt
import itertools
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import delete, func, select

from doable.accounts.tables import users
from doable.core import clock, housekeeping, trimming
from doable.core.db import Database
from doable.core.events import events
from doable.core.queries import query, scalar
from doable.core.streams import streams
from doable.lists import jobs
from doable.lists.operations import purging
from doable.lists.tables import lists, members
from doable.todos import jobs as todo_jobs
from doable.todos.tables import todos
from tests.support import asgi
from tests.support.accounts import Wait
from tests.support.folding import epoch_of
from tests.support.jobs import run_job
from tests.support.people import API, PASSWORD, Person

_OF_LISTS = events.c.stream_id.not_in(select(users.c.id))
KEPT = query(scalar, select(func.count().label("count")).select_from(events).where(_OF_LISTS))
TODOS = query(scalar, select(func.count().label("count")).select_from(todos))
REVISIONS = query(scalar, select(streams.c.revision).order_by(streams.c.id))


async def read(ana: Person, list_id: str, after: int, **query: object) -> httpx2.Response:
    epoch = await epoch_of(ana)
    return await ana.get(f"/lists/{list_id}/events", params={"after": f"{epoch}:{after}", **query})


async def refresh(ana: Person) -> None:
    answer = await ana.client.post(f"{API}/auth/login", json={"login": "ana", "password": PASSWORD})
    ana.tokens = answer.json()


async def test_what_is_older_than_the_retention_goes_and_the_numbers_stay(
    ana: Person, db: Database, running: asgi.Running, wait: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trimming, "EVENTS_AT_ONCE", 3)
    monkeypatch.setattr(trimming, "STREAMS_AT_ONCE", 2)
    groceries = await ana.list()
    quiet = [await ana.list(f"quiet {n}") for n in range(3)]
    for n in range(8):
        await ana.todo(f"old {n}", list_id=groceries["id"])
    wait(dt.timedelta(days=89))
    await refresh(ana)
    await run_job(running, housekeeping.trim_log)
    assert await db.reads.one(KEPT) == 5 * 2 + 8
    for n in range(2):
        await ana.todo(f"new {n}", list_id=groceries["id"])
    before = await db.reads.all(REVISIONS)
    wait(dt.timedelta(days=2))
    await refresh(ana)
    await run_job(running, housekeeping.trim_log)
    assert await db.reads.one(KEPT) == 2
    assert await db.reads.all(REVISIONS) == before
    for revision in (0, 5, 9):
        assert (await read(ana, groceries["id"], revision)).json()["error"]["code"] == "POSITION_LOST"
    page = (await read(ana, groceries["id"], 10)).json()
    assert [event["revision"] for event in page["events"]] == [11, 12]
    assert (await read(ana, quiet[0]["id"], 2)).json()["events"] == []
    await ana.todo("first after the silence", list_id=quiet[0]["id"])
    assert [event["revision"] for event in (await read(ana, quiet[0]["id"], 2)).json()["events"]] == [3]


@pytest.mark.parametrize("missing", [3, 4, 6])
async def test_a_gap_anywhere_in_a_page_is_a_lost_position(ana: Person, db: Database, missing: int) -> None:
    groceries = await ana.list()
    for n in range(4):
        await ana.todo(str(n), list_id=groceries["id"])
    assert (await read(ana, groceries["id"], 2)).status_code == 200
    async with db.transaction() as tx:
        await tx.execute(delete(events).where(events.c.revision == missing))
    assert (await read(ana, groceries["id"], 2)).json()["error"]["code"] == "POSITION_LOST"
    short = await read(ana, groceries["id"], 2, limit=1)
    assert short.status_code == (410 if missing == 3 else 200)
    full = await read(ana, groceries["id"], 2, limit=2)
    assert full.status_code == (200 if missing == 6 else 410), "as many as asked for, but not in a row"


async def test_a_list_deleted_long_ago_goes_with_all_that_is_in_it(
    ana: Person, db: Database, running: asgi.Running, wait: Wait
) -> None:
    gone, restored, kept = [await ana.list(name) for name in ("gone", "restored", "kept")]
    for each in (gone, restored, kept):
        await ana.todo("x", list_id=each["id"])
    for each in (gone, restored):
        await ana.delete(f"/lists/{each['id']}")
    await ana.put(f"/lists/{restored['id']}/restoration")
    wait(dt.timedelta(days=29))
    await run_job(running, jobs.purge)
    left = [
        query(scalar, select(func.count().label("count")).select_from(table)) for table in (lists, members, streams)
    ]
    assert [await db.reads.one(count) for count in left] == [4, 4, 6]
    wait(dt.timedelta(days=2))
    await run_job(running, jobs.purge)
    assert [await db.reads.one(count) for count in left] == [3, 3, 5]
    assert await db.reads.one(TODOS) == 2
    await refresh(ana)
    assert (await ana.put(f"/lists/{gone['id']}/restoration")).status_code == 404
    names = {item["name"] for item in (await ana.get("/lists")).json()["items"]}
    assert names == {"Inbox", "restored", "kept"}
    assert await db.reads.one(KEPT) == 2 + 5 + 3


async def test_a_list_goes_in_turns_and_cannot_be_restored_between_them(
    ana: Person, db: Database, running: asgi.Running, wait: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "AT_ONCE", 2)
    big, other = [await ana.list(name) for name in ("big", "other")]
    top = await ana.todo("top", list_id=big["id"])
    below = [await ana.todo("below", parent_id=top["id"]) for _ in range(3)]
    await ana.todo("deeper", parent_id=below[0]["id"])
    for each in (big, other):
        await ana.delete(f"/lists/{each['id']}")
    wait(dt.timedelta(days=31))
    await refresh(ana)
    before, left = clock.now() - jobs.DELETED_KEPT, [(5, 13)]
    more = True
    while more:
        async with db.transaction() as tx:
            more = await purging.purge_some(tx, UUID(big["id"]), before)
        left.append((await db.reads.one(TODOS), await db.reads.one(KEPT)))
        assert (await ana.put(f"/lists/{big['id']}/restoration")).status_code == 404
    gone = [(before[0] - after[0], before[1] - after[1]) for before, after in itertools.pairwise(left)]
    assert (left[-1], max(map(max, gone))) == ((0, 5), 2)
    await run_job(running, jobs.purge)
    assert await db.reads.one(KEPT) == 2
    assert [item["name"] for item in (await ana.get("/lists")).json()["items"]] == ["Inbox"]


async def test_a_list_that_is_restored_while_it_is_purged_stays(
    ana: Person, db: Database, running: asgi.Running, wait: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted = await ana.list()
    await ana.delete(f"/lists/{deleted['id']}")
    wait(dt.timedelta(days=31))
    await refresh(ana)
    true_all = type(db.reads)._rows

    async def restore_behind_it(reader: object, *arguments: object) -> object:
        rows: object = await true_all(reader, *arguments)  # type: ignore[arg-type]
        monkeypatch.setattr(type(db.reads), "_rows", true_all)
        assert (await ana.put(f"/lists/{deleted['id']}/restoration")).status_code == 200
        return rows

    monkeypatch.setattr(type(db.reads), "_rows", restore_behind_it)
    await run_job(running, jobs.purge)
    assert (await ana.get(f"/lists/{deleted['id']}")).status_code == 200


async def test_what_was_long_in_the_trash_goes_and_its_events_keep_the_ids_alone(
    ana: Person, db: Database, running: asgi.Running, wait: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(todo_jobs, "AT_ONCE", 2)
    kept, *trashed = [await ana.todo(f"a secret {n}") for n in range(6)]
    for each in trashed:
        await ana.delete(f"/todos/{each['id']}")
    wait(dt.timedelta(days=29))
    await run_job(running, todo_jobs.purge)
    assert await db.reads.one(TODOS) == 6
    wait(dt.timedelta(days=2))
    await run_job(running, todo_jobs.purge)
    assert await db.reads.one(TODOS) == 1
    await refresh(ana)
    told = (await read(ana, ana.inbox_id, 0)).json()["events"]
    assert [event["kind"] for event in told][-5:] == ["todo.purged"] * 5
    assert {event["actor_id"] for event in told[-5:]} == {None}
    assert [event for event in told if "secret" in str(event) and kept["id"] not in str(event)] == []
