"""Todos below todos: where they may be, and what goes along when the one above is completed or deleted."""

from typing import Any
from uuid import uuid4

import pytest

from doable.todos.operations import trees
from tests.support import asgi, folding, memberships
from tests.support.people import Person

SOME_ID = "0190f5a0-7c3e-7b1a-9d2c-5f6e7a8b9c0d"

type Json = dict[str, Any]


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def told(person: Person, list_id: str, after: int) -> list[Json]:
    epoch = await folding.epoch_of(person)
    events: list[Json] = (await person.get(f"/lists/{list_id}/events?after={epoch}:{after}")).json()["events"]
    return events


async def revision_of(person: Person, list_id: str) -> int:
    return int((await person.get(f"/lists/{list_id}/events?limit=1")).json()["revision"])


async def chain(person: Person, length: int, **members: object) -> list[Json]:
    """Todos, each below the one before."""
    todos = [await person.todo("0", **members)]
    while len(todos) < length:
        todos.append(await person.todo(f"{len(todos)}", parent_id=todos[-1]["id"]))
    return todos


async def test_a_subtask_comes_into_the_list_of_the_todo_above(ana: Person) -> None:
    home = (await ana.list())["id"]
    parent = await ana.todo(list_id=home)
    assert parent["parent_id"] is None
    child = await ana.todo("child", parent_id=parent["id"])
    put = await ana.put(f"/todos/{uuid4()}", {"title": "put", "parent_id": parent["id"], "list_id": home})
    assert (child["parent_id"], child["list_id"], put.status_code) == (parent["id"], home, 201)
    assert (await ana.get(f"/todos/{child['id']}")).json() == child
    assert parent["position"] < child["position"] < put.json()["position"]
    assert (await ana.todo("top", parent_id=None))["list_id"] == ana.inbox_id


async def test_a_listing_can_be_of_those_below_one_or_at_the_top(ana: Person) -> None:
    first, second = await ana.todo("first"), await ana.todo("second")
    below = [await ana.todo(f"{n}", parent_id=first["id"]) for n in range(3)]
    await ana.todo("deeper", parent_id=below[0]["id"])

    async def ids(query: str) -> list[str]:
        page = (await ana.get(f"/todos?list_id={ana.inbox_id}&{query}")).json()
        assert page["total"] == len(page["items"])
        return [todo["id"] for todo in page["items"]]

    assert await ids("parent_id=none") == [first["id"], second["id"]]
    assert await ids(f"parent_id={first['id']}") == [todo["id"] for todo in below]
    assert await ids(f"parent_id={SOME_ID}") == []
    assert len(await ids("")) == 6
    for bad in ("", "x", "null", f"{SOME_ID},{SOME_ID}", f"{SOME_ID},none"):
        assert code(await ana.get(f"/todos?parent_id={bad}")) == (422, "VALIDATION_ERROR"), bad


async def test_the_todo_above_has_to_be_one_that_can_be_seen_in_the_same_list_and_outside_the_trash(
    ana: Person, bob: Person, running: asgi.Running
) -> None:
    home = (await ana.list())["id"]
    here, elsewhere, trashed = await ana.todo(list_id=home), await ana.todo(), await ana.todo(list_id=home)
    await ana.delete(f"/todos/{trashed['id']}")
    foreign = await bob.todo()
    await memberships.join(running, bob, home, "viewer")
    for sent, expected in (
        ({"parent_id": SOME_ID}, (404, "NOT_FOUND")),
        ({"parent_id": foreign["id"]}, (404, "NOT_FOUND")),
        ({"parent_id": elsewhere["id"], "list_id": home}, (422, "VALIDATION_ERROR")),
        ({"parent_id": trashed["id"]}, (409, "IN_TRASH")),
    ):
        post = await ana.post("/todos", {"title": "x", **sent})
        put = await ana.put(f"/todos/{uuid4()}", {"title": "x", **sent})
        move = await ana.put(f"/todos/{here['id']}/position", sent)
        assert [code(post), code(put), code(move)] == [expected] * 3, sent
        if expected[0] == 422:
            assert post.json()["error"]["details"][0]["field"] == "body.parent_id"
    assert code(await bob.post("/todos", {"title": "x", "parent_id": here["id"]})) == (403, "FORBIDDEN")
    assert await revision_of(ana, home) == 5


async def test_subtasks_are_so_many_levels_deep_at_most(ana: Person) -> None:
    todos = await chain(ana, trees.DEEPEST + 1)
    answer = await ana.post("/todos", {"title": "too deep", "parent_id": todos[-1]["id"]})
    assert code(answer) == (422, "LIMIT_REACHED")
    other = await chain(ana, 2)
    move = f"/todos/{other[0]['id']}/position"
    assert code(await ana.put(move, {"parent_id": todos[-2]["id"]})) == (422, "LIMIT_REACHED")
    assert (await ana.put(move, {"parent_id": todos[-3]["id"]})).status_code == 200


async def test_a_todo_has_so_many_subtasks_at_most_and_a_repeated_put_of_the_last_finds_it(
    ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "MOST", 6)
    top, middle, _ = await chain(ana, 3)
    for n in range(3):
        await ana.todo(f"{n}", parent_id=(top, middle)[n % 2]["id"])
    last = f"/todos/{uuid4()}"
    body = {"title": "last", "parent_id": middle["id"]}
    assert [(await ana.put(last, body)).status_code for _ in range(2)] == [201, 200]
    for parent in (top, middle):
        assert code(await ana.post("/todos", {"title": "x", "parent_id": parent["id"]})) == (422, "LIMIT_REACHED")
    other = await ana.todo()
    assert code(await ana.put(f"/todos/{other['id']}/position", {"parent_id": top["id"]})) == (422, "LIMIT_REACHED")
    # What moves inside the tree makes it no larger; what is in the trash does not count.
    assert (await ana.put(f"/todos/{middle['id']}/position", {"parent_id": None})).status_code == 200
    assert (await ana.put(f"/todos/{middle['id']}/position", {"parent_id": top["id"]})).status_code == 200
    assert (await ana.delete(last)).status_code == 204
    assert (await ana.put(f"/todos/{other['id']}/position", {"parent_id": top["id"]})).status_code == 200
    assert code(await ana.put(f"{last}/restoration")) == (422, "LIMIT_REACHED")


async def test_completing_takes_along_what_is_open_below_and_opening_does_not(ana: Person) -> None:
    top, middle, low, lowest = await chain(ana, 4)
    await ana.put(f"/todos/{middle['id']}/completion")
    await ana.delete(f"/todos/{low['id']}/completion")
    gone = await ana.todo("gone", parent_id=top["id"])
    await ana.delete(f"/todos/{gone['id']}")
    before = await revision_of(ana, ana.inbox_id)
    done = await ana.put(f"/todos/{top['id']}/completion", headers={"If-Match": "*"})
    events = await told(ana, ana.inbox_id, before)
    assert [event["kind"] for event in events] == ["todo.completed"] * 2
    assert [event["data"]["todo"]["id"] for event in events] == [top["id"], low["id"]]
    assert len({event["operation_id"] for event in events}) == 1
    assert {event["data"]["todo"]["completed_at"] for event in events} == {done.json()["completed_at"]}
    assert done.headers["doable-position"].endswith(f":{before + 2}")
    assert (await ana.get(f"/todos/{lowest['id']}")).json()["completed"] is True
    assert (await ana.put(f"/todos/{top['id']}/completion")).json()["version"] == done.json()["version"]
    await ana.patch(f"/todos/{top['id']}", {"completed": False})
    assert [(await ana.get(f"/todos/{todo['id']}")).json()["completed"] for todo in (top, middle, low)] == [
        False, True, True,
    ]  # fmt: skip
    await ana.patch(f"/todos/{low['id']}", {"completed": False})
    await ana.patch(f"/todos/{top['id']}", {"completed": True, "title": "both"})
    assert (await ana.get(f"/todos/{low['id']}")).json()["completed"] is True


async def test_only_the_version_of_the_todo_that_is_addressed_counts(ana: Person) -> None:
    parent, child = await chain(ana, 2)
    etag = (await ana.get(f"/todos/{parent['id']}")).headers["etag"]
    await ana.patch(f"/todos/{child['id']}", {"title": "changed"})
    done = await ana.put(f"/todos/{parent['id']}/completion", headers={"If-Match": etag})
    assert done.status_code == 200
    assert (await ana.get(f"/todos/{child['id']}")).json()["version"] == 3
    stale = await ana.delete(f"/todos/{parent['id']}", headers={"If-Match": etag})
    assert code(stale) == (412, "PRECONDITION_FAILED")
    assert (await ana.get(f"/todos/{child['id']}")).json()["deleted_at"] is None


async def test_events_of_whole_trees_over_nothing_give_what_get_shows(ana: Person) -> None:
    todos = await chain(ana, 4)
    for todo in todos[1:]:
        await ana.todo("beside", parent_id=todo["parent_id"])
    for path in (f"/todos/{todos[1]['id']}/completion", f"/todos/{todos[0]['id']}/completion"):
        await ana.put(path)
    await ana.delete(f"/todos/{todos[2]['id']}")
    copy = await folding.fold(ana, ana.inbox_id)
    assert (copy.home, copy.in_order()) == await folding.shown(ana, ana.inbox_id)
    assert len(copy.todos) == 4
