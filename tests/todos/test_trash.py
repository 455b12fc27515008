"""The trash: what goes there together comes back together, and what is purged leaves nothing but ids."""

import datetime as dt
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from doable.core import clock
from doable.core.db import Database
from doable.core.events import events
from doable.core.queries import query, scalar
from doable.todos.operations import trash
from doable.todos.tables import todos as table
from tests.support import asgi, folding, memberships
from tests.support.people import Person
from tests.support.sharing import join
from tests.todos.test_subtasks import chain, code, revision_of, told

SOME_ID = "0190f5a0-7c3e-7b1a-9d2c-5f6e7a8b9c0d"


async def ids_in_trash(person: Person) -> list[str]:
    return [todo["id"] for todo in (await person.get("/trash")).json()["items"]]


async def test_deleting_takes_all_below_along_and_restoring_brings_just_that_back(ana: Person) -> None:
    top, middle, low = await chain(ana, 3)
    before_that = await ana.todo("before", parent_id=middle["id"])
    await ana.delete(f"/todos/{before_that['id']}")
    start = await revision_of(ana, ana.inbox_id)
    answer = await ana.delete(f"/todos/{top['id']}")
    gone = await told(ana, ana.inbox_id, start)
    assert [event["data"] for event in gone] == [{"todo_id": todo["id"]} for todo in (top, middle, low)]
    assert ({event["kind"] for event in gone}, len({event["operation_id"] for event in gone})) == ({"todo.deleted"}, 1)
    assert answer.headers["doable-position"].endswith(f":{start + 3}")
    assert (await ana.get(f"/todos?list_id={ana.inbox_id}")).json()["items"] == []
    shown = [(await ana.get(f"/todos/{todo['id']}")).json() for todo in (top, middle, low)]
    assert len({todo["deleted_at"] for todo in shown}) == 1
    restored = await ana.put(f"/todos/{top['id']}/restoration")
    back = await told(ana, ana.inbox_id, start + 3)
    assert [event["kind"] for event in back] == ["todo.restored"] * 3
    assert back[0]["data"] == {"todo": restored.json()}
    assert restored.headers["doable-position"].endswith(f":{start + 6}")
    for todo in (top, middle, low):
        now = (await ana.get(f"/todos/{todo['id']}")).json()
        assert now == {**todo, "version": 3, "updated_at": now["updated_at"]}
    assert await ids_in_trash(ana) == [before_that["id"]]
    again = await ana.put(f"/todos/{top['id']}/restoration")
    assert (again.json(), "doable-position" in again.headers) == (restored.json(), False)


async def test_what_has_no_todo_above_it_any_more_comes_back_to_the_top(ana: Person) -> None:
    top, middle, low = await chain(ana, 3)
    await ana.delete(f"/todos/{top['id']}")
    alone = (await ana.put(f"/todos/{middle['id']}/restoration")).json()
    assert (alone["parent_id"], alone["position"]) == (None, middle["position"])
    assert (await ana.get(f"/todos/{low['id']}")).json()["parent_id"] == middle["id"]
    assert await ids_in_trash(ana) == [top["id"]]
    await ana.put(f"/todos/{top['id']}/restoration")
    assert (await ana.get(f"/todos/{middle['id']}")).json()["parent_id"] is None
    copy = await folding.fold(ana, ana.inbox_id)
    assert (copy.home, copy.in_order()) == await folding.shown(ana, ana.inbox_id)


async def test_a_position_that_somebody_has_taken_is_not_given_twice(ana: Person) -> None:
    first, second, third = [await ana.todo(f"{n}") for n in range(3)]
    await ana.put(f"/todos/{third['id']}/position", {"before": second["id"]})
    taken = (await ana.get(f"/todos/{third['id']}")).json()["position"]
    await ana.delete(f"/todos/{third['id']}")
    await ana.put(f"/todos/{(await ana.todo())['id']}/position", {"after": first["id"]})
    restored = (await ana.put(f"/todos/{third['id']}/restoration")).json()
    assert restored["position"] != taken
    positions = [todo["position"] for todo in (await ana.get(f"/todos?list_id={ana.inbox_id}")).json()["items"]]
    assert len(set(positions)) == 4
    assert restored["position"] == max(positions)


async def test_the_trash_shows_the_newest_deletion_first_of_the_lists_that_i_see(
    ana: Person, bob: Person, running: asgi.Running
) -> None:
    home = (await ana.list())["id"]
    shared = [await ana.todo(f"{n}", list_id=home) for n in range(4)]
    own = await ana.todo("own")
    for todo in (shared[2], own, shared[0]):
        await ana.delete(f"/todos/{todo['id']}")
    assert await ids_in_trash(ana) == [shared[0]["id"], own["id"], shared[2]["id"]]
    assert await ids_in_trash(bob) == []
    await memberships.join(running, bob, home, "viewer")
    assert await ids_in_trash(bob) == [shared[0]["id"], shared[2]["id"]]
    first = (await ana.get("/trash?size=2")).json()
    rest = (await ana.get(f"/trash?size=2&cursor={first['next_cursor']}")).json()
    assert [todo["id"] for todo in first["items"] + rest["items"]] == await ids_in_trash(ana)
    await ana.delete(f"/lists/{home}")
    assert await ids_in_trash(ana) == [own["id"]]


async def test_a_purge_is_the_owner_s_and_leaves_ids_and_nothing_else(
    ana: Person, bob: Person, running: asgi.Running
) -> None:
    home, other = (await ana.list())["id"], (await ana.list("other"))["id"]
    top, middle, low = await chain(ana, 3, list_id=other)
    await ana.patch(f"/todos/{low['id']}", {"title": "a secret"})
    await ana.put(f"/todos/{top['id']}/position", {"list_id": home})
    await memberships.join(running, bob, home, "editor")
    assert code(await ana.delete(f"/trash/{top['id']}")) == (404, "NOT_FOUND")
    await ana.delete(f"/todos/{low['id']}")
    await ana.delete(f"/todos/{top['id']}")
    assert code(await bob.delete(f"/trash/{top['id']}")) == (403, "FORBIDDEN")
    assert code(await bob.delete(f"/trash/{SOME_ID}")) == (404, "NOT_FOUND")
    start = await revision_of(ana, home)
    answer = await ana.delete(f"/trash/{top['id']}")
    assert (answer.status_code, answer.headers["doable-position"].endswith(f":{start + 3}")) == (204, True)
    gone = {todo["id"] for todo in (top, middle, low)}
    purged = await told(ana, home, start)
    assert {event["data"]["todo_id"] for event in purged} == gone
    assert ({event["kind"] for event in purged}, len({event["operation_id"] for event in purged})) == (
        {"todo.purged"},
        1,
    )
    for todo_id in gone:
        assert code(await ana.get(f"/todos/{todo_id}")) == (404, "NOT_FOUND")
        assert code(await ana.delete(f"/trash/{todo_id}")) == (404, "NOT_FOUND")
        assert code(await ana.put(f"/todos/{todo_id}/restoration")) == (404, "NOT_FOUND")
    left = await running.state["db"].reads.all(query(scalar, select(events.c.data)))
    assert [data for data in left if "secret" in data or '"title"' in data] == []
    for list_id in (home, other):
        copy = await folding.fold(ana, list_id)
        assert (copy.home, copy.in_order()) == await folding.shown(ana, list_id)


async def test_what_is_in_the_trash_stays_behind_when_the_todo_above_goes_to_another_list(ana: Person) -> None:
    parent, child = await chain(ana, 2)
    await ana.delete(f"/todos/{child['id']}")
    target = (await ana.list())["id"]
    await ana.put(f"/todos/{parent['id']}/position", {"list_id": target})
    await ana.delete(f"/todos/{parent['id']}")
    assert (await ana.delete(f"/trash/{parent['id']}")).status_code == 204
    restored = (await ana.put(f"/todos/{child['id']}/restoration")).json()
    assert (restored["list_id"], restored["parent_id"]) == (ana.inbox_id, None)


async def test_what_expired_is_purged_some_at_a_time_and_nothing_else(
    ana: Person, bob: Person, running: asgi.Running
) -> None:
    database: Database = running.state["db"]
    for person in (ana, bob):
        trees = [await chain(person, 2) for _ in range(3)]
        for top, _ in trees[:2]:
            await person.delete(f"/todos/{top['id']}")
        async with database.transaction() as tx:
            trashed = update(table).where(table.c.deleted_at.is_not(None), table.c.list_id == UUID(person.inbox_id))
            await tx.execute(trashed.values(deleted_at=clock.now() - dt.timedelta(days=31)))
        await person.put(f"/todos/{trees[1][0]['id']}/restoration")
        await person.delete(f"/todos/{trees[1][0]['id']}")
    limit = clock.now() - dt.timedelta(days=30)
    counts: list[int] = []
    while not counts or counts[-1]:
        async with database.transaction() as tx:
            counts.append(await trash.purge_expired(tx, limit, 3))
    assert counts == [2, 2, 0], "what is below goes first, and is counted"
    for person in (ana, bob):
        assert len(await ids_in_trash(person)) == 2
        kinds: list[Any] = await told(person, person.inbox_id, 0)
        assert [(event["kind"], event["actor_id"]) for event in kinds if event["kind"] == "todo.purged"] == [
            ("todo.purged", None)
        ] * 2
        copy = await folding.fold(person, person.inbox_id)
        assert (copy.home, copy.in_order()) == await folding.shown(person, person.inbox_id)


@pytest.mark.parametrize("role", ["viewer", None])
async def test_who_may_not_write_restores_nothing(
    ana: Person, bob: Person, running: asgi.Running, role: str | None
) -> None:
    home = (await ana.list())["id"]
    todo = await ana.todo(list_id=home)
    await ana.delete(f"/todos/{todo['id']}")
    if role is not None:
        await memberships.join(running, bob, home, role)
    refused = (404, "NOT_FOUND") if role is None else (403, "FORBIDDEN")
    assert code(await bob.put(f"/todos/{todo['id']}/restoration")) == refused
    assert code(await bob.delete(f"/trash/{todo['id']}")) == refused
    assert code(await bob.put(f"/todos/{todo['id']}/position", {})) == refused


async def test_a_todo_with_the_id_of_a_person_has_nothing_to_do_with_what_is_told_of_the_person(
    ana: Person, bob: Person
) -> None:
    home = (await ana.list())["id"]
    before = await told(ana, home, 0)
    await join(ana, bob, home)
    assert (await bob.put(f"/todos/{ana.user['id']}", {"title": "Not ana"})).status_code == 201
    history = (await bob.get(f"/todos/{ana.user['id']}/history")).json()["items"]
    assert [event["kind"] for event in history] == ["todo.created"]
    await bob.delete(f"/todos/{ana.user['id']}")
    assert (await bob.delete(f"/trash/{ana.user['id']}")).status_code == 204
    assert (await told(ana, home, 0))[: len(before)] == before


async def test_who_moves_a_todo_out_and_purges_it_does_not_empty_the_log_of_another_owner(
    ana: Person, bob: Person
) -> None:
    home = (await ana.list())["id"]
    await join(ana, bob, home)
    todo = await ana.todo("evidence", list_id=home)
    before = await told(ana, home, 0)
    await bob.put(f"/todos/{todo['id']}/position", {"list_id": bob.inbox_id})
    await bob.delete(f"/todos/{todo['id']}")
    assert (await bob.delete(f"/trash/{todo['id']}")).status_code == 204
    assert (await told(ana, home, 0))[: len(before)] == before
    assert all(event["data"] == {"todo_id": todo["id"]} for event in await told(bob, bob.inbox_id, 2))
