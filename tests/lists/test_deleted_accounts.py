"""Whoever deletes his account is gone at once; what he had goes in turns, however much it is."""

from uuid import UUID

import httpx2
import pytest
from sqlalchemy import func, select

from doable.accounts import endings
from doable.core.db import Database
from doable.core.events import events
from doable.core.queries import query, scalar
from doable.core.streams import streams
from doable.lists.operations import purging
from doable.lists.tables import lists, members
from doable.todos.tables import todos
from tests.support import asgi
from tests.support.jobs import work
from tests.support.people import API, PASSWORD, Person, register
from tests.support.sharing import invite


async def _delete(person: Person) -> None:
    assert (await person.delete("/users/me", json={"current_password": PASSWORD})).status_code == 204


async def test_nobody_sees_anything_more_of_who_has_deleted_his_account(
    ana: Person, bob: Person, client: httpx2.AsyncClient
) -> None:
    home = (await ana.list())["id"]
    invitation = await invite(ana, bob.user["email"], home)
    todo = await ana.todo(list_id=home)
    await _delete(ana)
    login = await client.post(f"{API}/auth/login", json={"login": "ana", "password": PASSWORD})
    assert login.status_code == 401
    assert (await ana.get(f"/todos/{todo['id']}")).status_code == 401
    assert (await bob.get("/invitations")).json()["items"] == []
    for body in ({"token": invitation["token"]}, {"id": invitation["id"]}):
        assert (await bob.post("/invitations/acceptance", body)).status_code == 404
    again = await register(client, "ana")
    assert (await again.get("/todos")).json()["items"] == []
    for path in (f"/lists/{home}", f"/lists/{home}/events", f"/todos/{todo['id']}"):
        assert (await again.get(path)).status_code == 404
    assert (await again.put(f"/lists/{home}/restoration")).status_code == 404


async def test_who_writes_in_the_moment_of_the_deletion_finds_a_list_that_has_moved(
    ana: Person, running: asgi.Running
) -> None:
    await ana.todo()
    db: Database = running.state["db"]
    revision = query(scalar, select(streams.c.revision).where(streams.c.id == UUID(ana.inbox_id)))
    before = await db.reads.one(revision)
    await _delete(ana)
    assert await db.reads.one(revision) == before + 1


async def test_what_an_account_had_is_purged_in_turns(
    ana: Person, bob: Person, running: asgi.Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "AT_ONCE", 2)
    for _ in range(3):
        home = (await ana.list())["id"]
        top = await ana.todo(list_id=home)
        for _ in range(4):
            await ana.todo(list_id=home, parent_id=top["id"])
    await bob.todo()
    await _delete(ana)
    db: Database = running.state["db"]
    assert await db.reads.one(query(scalar, select(func.count().label("there")).select_from(todos))) == 16
    await work(running)
    assert [str(left) for left in await db.reads.all(query(scalar, select(lists.c.id)))] == [bob.inbox_id]
    assert [str(left) for left in await db.reads.all(query(scalar, select(members.c.list_id)))] == [bob.inbox_id]
    assert len(await db.reads.all(query(scalar, select(todos.c.id)))) == 1
    for column in (events.c.stream_id, streams.c.id):
        left = {str(stream_id) for stream_id in await db.reads.all(query(scalar, select(column)))}
        assert left == {bob.inbox_id, bob.user["id"], str(endings.STREAM)}
