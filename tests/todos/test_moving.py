"""Manual order, other parents, other lists: a todo is where it was put, and every copy agrees."""

import itertools
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from doable.core.db import Database
from doable.todos import ordering
from doable.todos.tables import todos as table
from tests.support import asgi, folding, memberships
from tests.support.people import Person
from tests.support.sharing import join
from tests.todos.test_subtasks import SOME_ID, chain, code, revision_of, told

type Json = dict[str, Any]


async def move(person: Person, todo: Json, **to: object) -> Json:
    answer = await person.put(f"/todos/{todo['id']}/position", to)
    assert answer.status_code == 200, answer.text
    moved: Json = answer.json()
    return moved


async def titles(person: Person, query: str) -> str:
    return "".join(todo["title"] for todo in (await person.get(f"/todos?{query}&sort=position")).json()["items"])


async def test_todos_are_put_before_after_and_behind_others(ana: Person) -> None:
    a, b, c, d = [await ana.todo(title) for title in "abcd"]
    here = f"list_id={ana.inbox_id}"
    for todo, to, order in (
        (d, {"before": a["id"]}, "dabc"),
        (a, {"after": c["id"]}, "dbca"),
        (c, {"before": b["id"]}, "dcba"),
        (b, {"after": d["id"]}, "dbca"),
        (d, {}, "bcad"),
        (b, {"after": a["id"]}, "cabd"),
    ):
        await move(ana, todo, **to)
        assert await titles(ana, here) == order
    await ana.todo("e")
    assert await titles(ana, here) == "cabde"
    copy = await folding.fold(ana, ana.inbox_id)
    assert (copy.home, copy.in_order()) == await folding.shown(ana, ana.inbox_id)


async def test_a_move_is_one_event_and_a_place_where_it_is_already_none(ana: Person) -> None:
    a, b, c = [await ana.todo(title) for title in "abc"]
    start = await revision_of(ana, ana.inbox_id)
    for todo, to in ((a, {"before": b["id"]}), (b, {"after": a["id"]}), (b, {"before": c["id"]}), (c, {})):
        answer = await ana.put(f"/todos/{todo['id']}/position", to)
        assert (answer.json(), "doable-position" in answer.headers) == (todo, False)
    moved = await move(ana, c, before=a["id"])
    assert moved["version"] == 2
    (event,) = await told(ana, ana.inbox_id, start)
    changes = {"position": {"from": c["position"], "to": moved["position"]}}
    assert (event["kind"], event["data"]) == ("todo.moved", {"todo": moved, "changes": changes})


async def test_an_anchor_that_is_not_there_is_a_conflict(ana: Person, bob: Person) -> None:
    parent, child = await chain(ana, 2)
    todo, trashed, foreign = await ana.todo(), await ana.todo(), await bob.todo()
    elsewhere = await ana.todo(list_id=(await ana.list())["id"])
    await ana.delete(f"/todos/{trashed['id']}")
    path = f"/todos/{todo['id']}/position"
    for anchor in (child, trashed, foreign, elsewhere, todo, {"id": SOME_ID}):
        for side in ("before", "after"):
            assert code(await ana.put(path, {side: anchor["id"]})) == (409, "CONFLICT")
    both = await ana.put(path, {"before": parent["id"], "after": parent["id"]})
    assert code(both) == (422, "VALIDATION_ERROR")
    assert code(await ana.put(f"/todos/{trashed['id']}/position", {})) == (409, "IN_TRASH")
    stale = await ana.put(path, {"before": SOME_ID}, headers={"If-Match": '"x.1"'})
    assert code(stale) == (412, "PRECONDITION_FAILED")
    assert (await ana.get(f"/todos/{todo['id']}")).json() == todo


async def test_what_is_not_there_is_refused_before_what_may_not_be_and_that_before_a_version(
    ana: Person, bob: Person
) -> None:
    home = (await ana.list())["id"]
    await join(ana, bob, home, "viewer")
    todo, gone = await ana.todo(list_id=home), await ana.todo(list_id=home)
    await ana.delete(f"/todos/{gone['id']}")
    stale = {"If-Match": '"xxxxxxxx.9"'}
    below_nothing = await ana.put(f"/todos/{todo['id']}/position", {"parent_id": SOME_ID}, headers=stale)
    assert code(below_nothing) == (404, "NOT_FOUND")
    assert code(await ana.put(f"/todos/{todo['id']}/position", {}, headers=stale)) == (412, "PRECONDITION_FAILED")
    below_gone = {"title": "x", "parent_id": gone["id"]}
    assert code(await bob.post("/todos", below_gone)) == (403, "FORBIDDEN")
    assert code(await ana.post("/todos", below_gone)) == (409, "IN_TRASH")


async def test_a_todo_goes_below_another_with_all_that_is_below_it(ana: Person) -> None:
    top, middle, low = await chain(ana, 3)
    other, beside = await ana.todo("other"), await ana.todo("beside")
    start = await revision_of(ana, ana.inbox_id)
    await move(ana, middle, parent_id=other["id"])
    assert [event["data"]["todo"]["id"] for event in await told(ana, ana.inbox_id, start)] == [middle["id"]]
    assert (await ana.get(f"/todos/{low['id']}")).json() == low
    for parent in (middle, low):
        assert code(await ana.put(f"/todos/{middle['id']}/position", {"parent_id": parent["id"]})) == (409, "CONFLICT")
    moved = await move(ana, beside, parent_id=other["id"], before=middle["id"])
    assert moved["parent_id"] == other["id"]
    assert await titles(ana, f"parent_id={other['id']}") == "beside1"
    assert (await move(ana, beside))["parent_id"] == other["id"], "an absent parent stays"
    assert (await move(ana, beside, parent_id=None, before=top["id"]))["parent_id"] is None
    assert await titles(ana, f"list_id={ana.inbox_id}&parent_id=none") == "beside0other"


async def test_hundreds_of_todos_at_one_place_keep_their_order_and_positions_short(ana: Person) -> None:
    """When a position gets too long the siblings around it get new ones, each with its event."""
    first, last = await ana.todo("0"), await ana.todo("z")
    order = [first["id"], last["id"]]
    renewed = 0
    for n in range(380):
        todo = await ana.todo(f"{n}")
        start = await revision_of(ana, ana.inbox_id) if n > 340 else 0
        await move(ana, todo, after=first["id"])
        order.insert(1, todo["id"])
        if start:
            events = await told(ana, ana.inbox_id, start)
            assert {event["kind"] for event in events} == {"todo.moved"}
            assert len({event["operation_id"] for event in events}) == 1
            renewed += len(events) - 1
    assert renewed
    shown = (await folding.shown(ana, ana.inbox_id))[1]
    assert [todo["id"] for todo in shown] == order
    assert len({todo["position"] for todo in shown}) == len(order)
    assert max(len(todo["position"]) for todo in shown) <= ordering.LONGEST
    copy = await folding.fold(ana, ana.inbox_id)
    assert copy.in_order() == shown


async def test_siblings_that_have_come_to_one_position_are_put_apart(ana: Person, running: asgi.Running) -> None:
    a, b, c = [await ana.todo(title) for title in "abc"]
    database: Database = running.state["db"]
    async with database.transaction() as tx:
        await tx.execute(update(table).values(position="a5").where(table.c.id.in_([UUID(a["id"]), UUID(b["id"])])))
    await move(ana, c, after=a["id"])
    assert await titles(ana, f"list_id={ana.inbox_id}") == "acb"


async def test_a_todo_goes_to_another_list_with_all_below_it_and_comes_at_the_end_there(ana: Person) -> None:
    home, target = ana.inbox_id, (await ana.list())["id"]
    for _ in range(70):  # so that its positions are longer than those of the other list
        await ana.todo()
    there = await ana.todo("there", list_id=target)
    top, middle, low = await chain(ana, 3)
    await ana.todo("beside", parent_id=top["id"])
    starts = [await revision_of(ana, list_id) for list_id in (home, target)]
    answer = await ana.put(f"/todos/{top['id']}/position", {"list_id": target})
    moved = answer.json()
    assert (moved["list_id"], moved["parent_id"], moved["version"]) == (target, None, top["version"] + 1)
    assert answer.headers["doable-position"].endswith(f":{starts[1] + 4}")
    departed, arrived = [await told(ana, *at) for at in zip((home, target), starts, strict=True)]
    assert [event["kind"] for event in departed + arrived] == ["todo.departed"] * 4 + ["todo.arrived"] * 4
    assert [event["data"]["todo_id"] for event in departed] == [event["data"]["todo"]["id"] for event in arrived]
    assert len({event["operation_id"] for event in departed + arrived}) == 1
    assert {event["data"]["todo"]["version"] for event in arrived} == {2}
    assert target not in str([event["data"] for event in departed])
    assert (await ana.get(f"/todos/{low['id']}")).json()["parent_id"] == middle["id"]
    await ana.todo("late", parent_id=top["id"])
    assert await titles(ana, f"parent_id={top['id']}") == "1besidelate"
    assert await titles(ana, f"list_id={target}&parent_id=none") == "there0"
    back = await move(ana, moved, list_id=home, parent_id=None)
    assert (back["list_id"], back["version"]) == (home, 3)
    assert (await move(ana, back, list_id=target, parent_id=there["id"]))["parent_id"] == there["id"]
    for list_id in (home, target):
        copy = await folding.fold(ana, list_id)
        assert (copy.home, copy.in_order()) == await folding.shown(ana, list_id)


async def test_a_move_needs_a_role_that_may_write_in_both_lists(
    ana: Person, bob: Person, running: asgi.Running
) -> None:
    home, target = (await ana.list())["id"], (await ana.list())["id"]
    todo = await ana.todo(list_id=home)
    path = f"/todos/{todo['id']}/position"
    strange = await bob.put(path, {"list_id": bob.inbox_id})
    await memberships.join(running, bob, home, "viewer")
    refused = [await bob.put(path, {"list_id": bob.inbox_id}), await bob.put(path, {"list_id": target})]
    assert [code(answer) for answer in (strange, *refused)] == [
        (404, "NOT_FOUND"),
        (403, "FORBIDDEN"),
        (404, "NOT_FOUND"),  # before the role in the list where it is
    ]
    mine = await bob.todo()
    path = f"/todos/{mine['id']}/position"
    assert code(await bob.put(path, {"list_id": home})) == (403, "FORBIDDEN")
    for unknown in (target, SOME_ID):
        assert code(await bob.put(path, {"list_id": unknown})) == (404, "NOT_FOUND")
    await ana.delete(f"/lists/{target}")
    assert code(await ana.put(f"/todos/{todo['id']}/position", {"list_id": target})) == (404, "NOT_FOUND")


async def test_who_is_no_member_of_the_other_list_is_not_assigned_there(
    ana: Person, bob: Person, running: asgi.Running
) -> None:
    home, private = (await ana.list())["id"], (await ana.list())["id"]
    await memberships.join(running, bob, home)
    top, child = await chain(ana, 2, list_id=home)
    database: Database = running.state["db"]
    async with database.transaction() as tx:
        for todo, person in ((top, ana), (child, bob)):
            assigned = update(table).values(assignee_id=UUID(person.user["id"]))
            await tx.execute(assigned.where(table.c.id == UUID(todo["id"])))
    assert (await move(ana, top, list_id=private))["assignee_id"] == ana.user["id"]
    assert (await ana.get(f"/todos/{child['id']}")).json()["assignee_id"] is None


JOURNEYS = {
    "there": ["write", "move", "write"],
    "there and back": ["move", "write", "move"],
    "twice": ["move", "move", "move"],
    "into the trash": ["move", "delete"],
    "out of the trash": ["delete", "restore", "move", "delete", "restore"],
    "back into the trash": ["move", "move", "delete"],
}


@pytest.mark.parametrize("journey", JOURNEYS.values(), ids=JOURNEYS)
async def test_in_whatever_order_two_logs_are_read_the_copy_ends_as_what_is_there(
    ana: Person, journey: list[str]
) -> None:
    home, target = ana.inbox_id, (await ana.list())["id"]
    starts = [await revision_of(ana, list_id) for list_id in (home, target)]
    todo = await ana.todo()
    child = await ana.todo("child", parent_id=todo["id"])
    for step in journey:
        path = f"/todos/{todo['id']}"
        now = (await ana.get(path)).json()
        other = target if now["list_id"] == home else home
        requests: dict[str, tuple[str, str, object]] = {
            "write": ("PATCH", path, {"title": f"v{now['version']}"}),
            "move": ("PUT", f"{path}/position", {"list_id": other}),
            "delete": ("DELETE", path, None),
            "restore": ("PUT", f"{path}/restoration", None),
        }
        method, where, body = requests[step]
        assert (await ana.request(method, where, json=body)).is_success
    logs = [await told(ana, *at) for at in zip((home, target), starts, strict=True)]
    truth = {}
    for todo_id in (todo["id"], child["id"]):
        now = (await ana.get(f"/todos/{todo_id}")).json()
        if now["deleted_at"] is None:
            truth[todo_id] = now
    for order in _interleavings(*logs):
        copies: dict[str, Json] = {}
        for event in order:
            folding.follow(copies, event)
        assert copies == truth
    for list_id, log in zip((home, target), logs, strict=True):  # whoever sees one of the lists alone
        copies = {}
        for event in log:
            folding.follow(copies, event)
        assert copies == {todo_id: todo for todo_id, todo in truth.items() if todo["list_id"] == list_id}


def _interleavings(left: list[Json], right: list[Json]) -> Iterator[list[Json]]:
    """All ways to read two logs, each in its own order."""
    length = len(left) + len(right)
    for places in map(frozenset, itertools.combinations(range(length), len(left))):
        logs = {True: iter(left), False: iter(right)}
        yield [next(logs[place in places]) for place in range(length)]
