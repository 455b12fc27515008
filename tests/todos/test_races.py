"""Two requests at once: each outcome is one that the two, one after the other, could have had."""

import asyncio
from collections.abc import Coroutine
from itertools import pairwise
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import bindparam, delete, update
from sqlalchemy.sql.base import Executable

from doable import runtime
from doable.core import clock, failpoints, ids, streams
from doable.core import events as log
from doable.core.db import Database
from doable.lists.tables import members
from doable.settings import Settings
from tests.support import applications, asgi
from tests.support.people import PASSWORD, Person, register
from tests.support.sharing import join

REMOVE = delete(members).where(members.c.list_id == bindparam("list"), members.c.user_id == bindparam("user"))
DEMOTE = (update(members).where(members.c.list_id == bindparam("list"), members.c.user_id == bindparam("user"))).values(
    role="viewer"
)


async def _meanwhile(
    running: asgi.Running, ana: Person, home: str, change: Executable, request: Coroutine[Any, Any, httpx2.Response]
) -> httpx2.Response:
    """Hold the list's stream, let the request wait for it, change the membership, commit: the request comes second."""
    database: Database = running.state["db"]
    async with database.transaction() as tx:
        await streams.bump(tx, UUID(home))
        waiting = asyncio.create_task(request)
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await tx.execute(change, list=UUID(home), user=UUID(ana.user["id"]))
    return await waiting


@pytest.mark.parametrize(("change", "status"), [(REMOVE, 404), (DEMOTE, 403)], ids=["removed", "demoted"])
async def test_who_may_no_longer_write_when_his_turn_comes_does_not(
    running: asgi.Running, ana: Person, change: Executable, status: int
) -> None:
    home = (await ana.list())["id"]
    todo = await ana.todo(list_id=home)
    for request in (
        ana.post("/todos", {"title": "late", "list_id": home}),
        ana.patch(f"/todos/{todo['id']}", {"title": "late"}),
        ana.patch(f"/lists/{home}", {"name": "late"}),
        ana.delete(f"/lists/{home}"),
    ):
        answer = await _meanwhile(running, ana, home, change, request)
        assert answer.status_code == status, answer.text
        await _restore(running, ana, home)
    assert [t["title"] for t in (await ana.get(f"/todos?list_id={home}")).json()["items"]] == ["Buy milk"]
    assert (await ana.get(f"/lists/{home}")).json()["name"] == "Groceries"


async def test_what_another_process_writes_between_look_and_write_is_noticed(settings: Settings, ana: Person) -> None:
    home = (await ana.list())["id"]
    todo = await ana.todo(list_id=home)
    other = runtime.open_database(settings)
    for request in (
        ana.post("/todos", {"title": "new", "list_id": home}),
        ana.put(f"/todos/{ids.new_id()}", {"title": "new", "list_id": home}),
        ana.patch(f"/todos/{todo['id']}", {"title": "changed"}),
    ):
        failpoints.set_action("db.before_commit", "sleep:0.3")
        waiting = asyncio.create_task(request)
        await asyncio.sleep(0.1)
        async with other.transaction() as tx:
            event = log.Event("member.removed", '{"user_id":"0190f5a0-6a11-7c0e-8f3b-0d1c2b3a4f5e"}')
            await log.add(tx, UUID(home), log.operation(None, clock.now()), event)
        failpoints.set_action("db.before_commit", None)
        assert (await waiting).is_success
    await other.close()
    events = (await ana.get(f"/lists/{home}/events")).json()["events"]
    assert [event["revision"] for event in events] == list(range(1, len(events) + 1))
    kinds = [event["kind"] for event in events[-6:]]
    assert kinds == ["member.removed", "todo.created"] * 2 + ["member.removed", "todo.updated"]
    positions = [one["position"] for one in (await ana.get(f"/todos?list_id={home}&sort=position")).json()["items"]]
    assert len(set(positions)) == 3


async def test_who_remembers_a_revision_that_is_none_writes_all_the_same(running: asgi.Running, ana: Person) -> None:
    home = (await ana.list())["id"]
    running.state["db"].turns.remember({UUID(home): 1000})
    made = [await ana.todo(list_id=home) for _ in range(2)]
    assert made[0]["position"] < made[1]["position"]
    events = (await ana.get(f"/lists/{home}/events")).json()["events"]
    assert [event["revision"] for event in events] == list(range(1, len(events) + 1))


async def test_processes_that_remember_a_list_write_in_it_by_turns(ana: Person, settings: Settings) -> None:
    home = (await ana.list())["id"]
    async with applications.started(settings) as client:
        there = Person(client, ana.user, ana.tokens)
        for n in range(6):
            await (ana, there)[n % 2].todo(f"{n}", list_id=home)
    events = (await ana.get(f"/lists/{home}/events")).json()["events"]
    assert [event["revision"] for event in events] == list(range(1, len(events) + 1))
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    listed = (await ana.get(f"/todos?list_id={home}&sort=position")).json()["items"]
    assert [todo["title"] for todo in listed] == [f"{n}" for n in range(6)]


async def test_who_is_no_member_any_more_is_refused_and_waits_for_nobody(
    running: asgi.Running, ana: Person, bob: Person
) -> None:
    home = (await ana.list())["id"]
    await join(ana, bob, home)
    await bob.todo(list_id=home)
    assert (await ana.delete(f"/lists/{home}/members/{bob.user['id']}")).status_code == 204
    late = {"title": "late", "list_id": home}
    assert (await bob.post("/todos", late)).status_code == 404
    await ana.todo("in between", list_id=home)
    database: Database = running.state["db"]
    turn = await database.turns.take(UUID(home))
    assert (await asyncio.wait_for(bob.post("/todos", late), 5)).status_code == 404
    turn.release(in_vain=False)
    assert len((await ana.get(f"/todos?list_id={home}")).json()["items"]) == 2


async def test_nothing_is_written_into_a_list_that_is_being_deleted(ana: Person) -> None:
    for n in range(10):
        home = (await ana.list())["id"]
        todo = await ana.todo(list_id=home)
        path = f"/lists/{home}"
        renamed, made, changed, deleted = await asyncio.gather(
            ana.patch(path, {"name": "late"}),
            ana.post("/todos", {"title": "late", "list_id": home}),
            ana.patch(f"/todos/{todo['id']}", {"title": "late"}),
            ana.delete(path),
        )
        assert deleted.status_code == 204
        assert (renamed.status_code, made.status_code, changed.status_code) in {
            (a, b, c) for a in (200, 404) for b in (201, 404) for c in (200, 404)
        }, n
        assert renamed.status_code == 404 or renamed.json()["deleted_at"] is None
        restored = (await ana.put(f"{path}/restoration")).json()
        items = (await ana.get(f"/todos?list_id={home}")).json()["items"]
        assert (restored["name"] == "late") == (renamed.status_code == 200)
        assert len(items) == 1 + (made.status_code == 201)


async def test_deleting_one_todo_many_times_at_once_is_204_each_time(ana: Person) -> None:
    for _ in range(10):
        todo = await ana.todo()
        answers = await asyncio.gather(*(ana.delete(f"/todos/{todo['id']}") for _ in range(4)))
        assert [answer.status_code for answer in answers] == [204] * 4
        assert sum("doable-position" in answer.headers for answer in answers) == 1


async def test_writing_while_the_account_is_deleted_is_no_bug(ana: Person, client: httpx2.AsyncClient) -> None:
    for name in ("eve", "ivo", "mia"):
        person = await register(client, name)
        answers = await asyncio.gather(
            *(person.post("/todos", {"title": f"{n}"}) for n in range(6)),
            person.delete("/users/me", json={"current_password": PASSWORD}),
            *(person.post("/todos", {"title": f"{n}"}) for n in range(6)),
        )
        assert {answer.status_code for answer in answers} <= {201, 204, 401, 404}
        assert answers[6].status_code == 204
    assert (await ana.get("/lists")).status_code == 200


async def test_each_event_says_what_its_write_has_really_changed(ana: Person) -> None:
    todo = await ana.todo()
    path = f"/todos/{todo['id']}"
    answers = await asyncio.gather(*(ana.patch(path, {"title": f"t{n}"}) for n in range(12)))
    assert {answer.status_code for answer in answers} == {200}
    first, *told = (await ana.get(f"/lists/{ana.inbox_id}/events")).json()["events"][2:]
    assert len(told) == len(answers)
    for before, event in pairwise([first, *told]):
        title = event["data"]["changes"]["title"]
        assert title == {"from": before["data"]["todo"]["title"], "to": event["data"]["todo"]["title"]}
        assert event["at"] >= before["at"]
        assert event["data"]["todo"] in [answer.json() for answer in answers]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("settings", [{"database_pool_size": 4, "database_max_overflow": 0}], indirect=True)
async def test_a_hot_list_does_not_starve_the_others(
    ana: Person, client: httpx2.AsyncClient, settings: Settings
) -> None:
    bob = await register(client, "bob")
    assert settings.database_pool_size == 4
    todo = await ana.todo()
    failpoints.set_action("db.before_commit", "sleep:0.1")
    try:
        crowd = [asyncio.create_task(ana.patch(f"/todos/{todo['id']}", {"title": f"t{n}"})) for n in range(30)]
        await asyncio.sleep(0.3)
        other = await asyncio.wait_for(bob.post("/todos", {"title": "mine"}), 1.5)
        assert other.status_code == 201
        assert not all(task.done() for task in crowd)
        assert {answer.status_code for answer in await asyncio.gather(*crowd)} == {200}
    finally:
        failpoints.set_action("db.before_commit", None)


@pytest.mark.parametrize("how", ["put", "post", "below another"])
async def test_an_id_that_is_being_purged_is_not_taken_in_another_list(ana: Person, how: str) -> None:
    home = (await ana.list())["id"]
    above = (await ana.todo(list_id=home))["id"]
    todo_id = (await ana.todo())["id"]
    await ana.delete(f"/todos/{todo_id}")
    failpoints.set_action("db.before_commit", "sleep:0.5")
    purging = asyncio.create_task(ana.delete(f"/trash/{todo_id}"))
    await asyncio.sleep(0.2)
    failpoints.set_action("db.before_commit", None)
    body: dict[str, object] = {"title": "late", "list_id": home}
    for status in (503, 409):
        if how == "put":
            answer = await ana.put(f"/todos/{todo_id}", body)
        else:
            answer = await ana.post(
                "/todos", {**body, "id": todo_id, **({} if how == "post" else {"parent_id": above})}
            )
        assert answer.status_code in {status, 409}, answer.text
    assert (await purging).status_code == 204
    assert [todo["id"] for todo in (await ana.get(f"/todos?list_id={home}")).json()["items"]] == [above]


async def _restore(running: asgi.Running, ana: Person, home: str) -> None:
    database: Database = running.state["db"]
    async with database.transaction() as tx:
        await tx.execute(REMOVE, list=UUID(home), user=UUID(ana.user["id"]))
        row = {"list_id": UUID(home), "user_id": UUID(ana.user["id"]), "role": "owner"}
        await tx.execute(members.insert(), **row, joined_at=clock.now())
