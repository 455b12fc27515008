"""Requests at once on trees of todos: each outcome is one that they, one after the other, could have had."""

import asyncio
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import update

from doable.core import streams
from doable.core.db import Database
from doable.todos.tables import todos as table
from tests.support import asgi, folding
from tests.support.people import Person
from tests.todos.test_subtasks import chain

type Json = dict[str, Any]


async def _check(ana: Person, *list_ids: str) -> None:
    """The log says what is there, and everything is below something that is there."""
    for list_id in list_ids:
        copy = await folding.fold(ana, list_id)
        assert (copy.home, copy.in_order()) == await folding.shown(ana, list_id)
        for todo in copy.todos.values():
            assert todo["parent_id"] is None or todo["parent_id"] in copy.todos
            seen = set()
            above: Json | None = todo
            while above is not None:
                assert above["id"] not in seen, "below itself"
                seen.add(above["id"])
                above = copy.todos.get(above["parent_id"])


async def test_fifty_moves_to_one_place_at_once_have_fifty_positions(ana: Person) -> None:
    anchor, last = await ana.todo("anchor"), await ana.todo("last")
    todos = [await ana.todo(f"{n}") for n in range(50)]
    answers = await asyncio.gather(
        *(ana.put(f"/todos/{todo['id']}/position", {"after": anchor["id"]}) for todo in todos)
    )
    assert {answer.status_code for answer in answers} == {200}
    order = [todo["id"] for todo in (await folding.shown(ana, ana.inbox_id))[1]]
    assert (order[0], order[-1]) == (anchor["id"], last["id"])
    positions = {todo["position"] for todo in (await folding.shown(ana, ana.inbox_id))[1]}
    assert len(positions) == 52
    revisions = [int(answer.headers["doable-position"].partition(":")[2]) for answer in answers]
    by_revision = [todo["id"] for _, todo in sorted(zip(revisions, todos, strict=True), key=lambda pair: -pair[0])]
    assert order[1:-1] == by_revision, "whoever came last is nearest to the anchor"
    await _check(ana, ana.inbox_id)


async def test_one_todo_that_is_moved_and_written_at_once_is_read_again_by_each(ana: Person) -> None:
    """Whoever waited for the list goes on from what is there then."""
    first, second, todo = [await ana.todo(title) for title in ("first", "second", "todo")]
    path = f"/todos/{todo['id']}"
    sides = [{"before": first["id"]}, {"after": second["id"]}, {"parent_id": first["id"]}, {"parent_id": None}]
    answers = await asyncio.gather(
        *(ana.put(f"{path}/position", side) for side in sides * 4),
        *(ana.patch(path, {"title": f"{n}"}) for n in range(8)),
    )
    assert {answer.status_code for answer in answers} <= {200, 409}  # an anchor is not a sibling below `first`
    written = sum("doable-position" in answer.headers for answer in answers)
    assert (await ana.get(path)).json()["version"] == 1 + written
    await _check(ana, ana.inbox_id)


async def test_two_moves_at_once_make_no_circle(ana: Person) -> None:
    for _ in range(8):
        a, b = await ana.todo("a"), await ana.todo("b")
        answers = await asyncio.gather(
            ana.put(f"/todos/{a['id']}/position", {"parent_id": b["id"]}),
            ana.put(f"/todos/{b['id']}/position", {"parent_id": a["id"]}),
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409]
    await _check(ana, ana.inbox_id)


async def test_a_subtask_is_added_before_all_below_is_completed_or_deleted_or_after_it(ana: Person) -> None:
    for n in range(12):
        parent = await ana.todo("parent")
        path = f"/todos/{parent['id']}"
        method, where = ("DELETE", path) if n % 2 else ("PUT", f"{path}/completion")
        taken, *added = await asyncio.gather(
            ana.request(method, where),
            *(ana.post("/todos", {"title": f"{k}", "parent_id": parent["id"]}) for k in range(3)),
        )
        assert taken.is_success
        until = int(taken.headers["doable-position"].partition(":")[2])
        for answer in added:
            assert answer.status_code == 201 or (n % 2, answer.json()["error"]["code"]) == (1, "IN_TRASH")
            if answer.status_code == 201:
                now = (await ana.get(f"/todos/{answer.json()['id']}")).json()
                before = int(answer.headers["doable-position"].partition(":")[2]) < until
                assert before or not n % 2, "added to a todo in the trash"
                assert before == bool(now["deleted_at"] or now["completed"])
    await _check(ana, ana.inbox_id)


async def test_a_move_and_a_deletion_of_what_is_above_do_not_part_a_tree(ana: Person) -> None:
    for _ in range(8):
        parent, child = await chain(ana, 2)
        other = await ana.todo("other")
        moved, *deleted = await asyncio.gather(
            ana.put(f"/todos/{child['id']}/position", {"parent_id": other["id"]}),
            ana.delete(f"/todos/{parent['id']}"),
            ana.delete(f"/todos/{other['id']}"),
        )
        assert [answer.status_code for answer in deleted] == [204, 204]
        assert moved.status_code == 200 or moved.json()["error"]["code"] == "IN_TRASH"
    await _check(ana, ana.inbox_id)


async def test_of_a_restoration_and_a_purge_at_once_one_finds_it(ana: Person) -> None:
    for _ in range(8):
        top, _, low = await chain(ana, 3)
        await ana.delete(f"/todos/{top['id']}")
        restored, purged = await asyncio.gather(
            ana.put(f"/todos/{top['id']}/restoration"), ana.delete(f"/trash/{top['id']}")
        )
        assert (restored.status_code, purged.status_code) in {(200, 404), (404, 204)}
        assert (await ana.get(f"/todos/{low['id']}")).status_code == restored.status_code
    await _check(ana, ana.inbox_id)


async def test_todos_that_cross_between_two_lists_all_arrive(ana: Person) -> None:
    """Both lists are locked in one order, so the two directions do not wait for each other."""
    homes = [ana.inbox_id, (await ana.list())["id"]]
    trees = [await chain(ana, 2, list_id=homes[n % 2]) for n in range(16)]
    answers = await asyncio.gather(
        *(ana.put(f"/todos/{top['id']}/position", {"list_id": homes[1 - n % 2]}) for n, (top, _) in enumerate(trees)),
        *(ana.patch(f"/todos/{child['id']}", {"title": "written"}) for _, child in trees),
    )
    # Whoever read a todo in the list that it has just left is told to ask again.
    assert {answer.status_code for answer in answers[:16]} == {200}
    for n, (top, child) in enumerate(trees):
        for todo in (top, child):
            assert (await ana.get(f"/todos/{todo['id']}")).json()["list_id"] == homes[1 - n % 2]
    await _check(ana, *homes)
    for n, answer in enumerate(answers[16:]):
        now = (await ana.get(f"/todos/{trees[n][1]['id']}")).json()
        assert (answer.status_code, now["title"]) in {(200, "written"), (503, "1")}


@pytest.mark.parametrize("what", ["purge", "restore", "create below"])
async def test_what_goes_to_another_list_while_a_request_waits_is_left_alone(
    ana: Person, running: asgi.Running, what: str
) -> None:
    home, other = (await ana.list())["id"], (await ana.list("other"))["id"]
    todo = await ana.todo(list_id=home)
    if what != "create below":
        await ana.delete(f"/todos/{todo['id']}")

    async def request() -> httpx2.Response:
        if what == "purge":
            return await ana.delete(f"/trash/{todo['id']}")
        if what == "restore":
            return await ana.put(f"/todos/{todo['id']}/restoration")
        return await ana.post("/todos", {"title": "x", "parent_id": todo["id"]})

    database: Database = running.state["db"]
    async with database.transaction() as tx:
        await streams.lock(tx, [UUID(home), UUID(other)])
        waiting = asyncio.create_task(request())
        await asyncio.sleep(0.5)
        await tx.execute(update(table).where(table.c.id == UUID(todo["id"])).values(list_id=UUID(other)))
    answer = await waiting
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "UNAVAILABLE")
    assert (await ana.get(f"/todos/{todo['id']}")).json()["list_id"] == other
