"""POST /batch: all or nothing, with references to earlier results, and an error that names the operation."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from doable.core import streams
from doable.core.db import Database
from tests.support import asgi, folding
from tests.support.people import Person
from tests.support.sharing import join

type Op = dict[str, Any]


def create(title: str, **data: object) -> Op:
    return {"op": "todo.create", "data": {"title": title, **data}}


async def run(person: Person, *operations: Op, **options: Any) -> list[dict[str, Any]]:
    answer = await person.post("/batch", {"operations": operations}, **options)
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


async def refused(person: Person, *operations: Op) -> tuple[int, str, Any]:
    answer = await person.post("/batch", {"operations": operations})
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["details"]


async def test_every_operation_answers_as_it_does_alone(ana: Person) -> None:
    gone = await ana.todo("gone")
    await ana.delete(f"/todos/{gone['id']}")
    home = await ana.list()
    results = await run(
        ana,
        {"op": "list.create", "ref": "trip", "data": {"name": "Trip", "color": "#123456"}},
        {"op": "todo.create", "ref": "pack", "data": {"title": "Pack", "list_id": "$trip"}},
        {"op": "todo.create", "ref": "socks", "data": {"title": "Socks", "parent_id": "$pack"}},
        {"op": "todo.update", "id": "$socks", "if_version": 1, "data": {"priority": 1}},
        {"op": "todo.complete", "id": "$socks"},
        {"op": "todo.reopen", "id": "$socks"},
        {"op": "todo.create", "ref": "first", "data": {"title": "First", "list_id": "$trip"}},
        {"op": "todo.move", "id": "$first", "data": {"before": "$pack"}},
        {"op": "todo.delete", "id": "$socks"},
        {"op": "todo.restore", "id": gone["id"]},
        {"op": "list.update", "id": home["id"], "data": {"name": "Home"}},
    )
    assert [result["status"] for result in results] == [201, 201, 201, 200, 200, 200, 201, 200, 204, 200, 200]
    assert [result["ref"] for result in results[:3]] == ["trip", "pack", "socks"]
    trip, pack = results[0]["list"], results[1]["todo"]
    assert (pack["list_id"], results[2]["todo"]["parent_id"]) == (trip["id"], pack["id"])
    assert results[7]["todo"]["position"] < pack["position"]
    assert (results[8]["todo"], results[8]["list"]) == (None, None)
    shown = (await ana.get(f"/todos?list_id={trip['id']}")).json()["items"]
    assert [todo["title"] for todo in shown] == ["First", "Pack"]
    assert (await ana.get(f"/lists/{home['id']}")).json() == results[10]["list"]
    copy = await folding.fold(ana, trip["id"])
    assert copy.todos == {todo["id"]: todo for todo in shown}


async def test_when_one_fails_nothing_has_happened_and_the_error_is_its_own(ana: Person) -> None:
    before = (await ana.get(f"/lists/{ana.inbox_id}/events")).json()["revision"]
    unknown = str(uuid4())
    status, code, details = await refused(ana, create("one"), {"op": "todo.complete", "id": unknown, "ref": "x"})
    assert (status, code) == (404, "NOT_FOUND")
    assert details == {"index": 1, "ref": "x", "details": None}
    assert (await ana.get("/todos")).json()["items"] == []
    assert (await ana.get(f"/lists/{ana.inbox_id}/events")).json()["revision"] == before


async def test_a_version_that_is_not_there_any_more_fails_with_the_present_one(ana: Person) -> None:
    todo = await ana.todo()
    await ana.patch(f"/todos/{todo['id']}", {"title": "other"})
    operation = {"op": "todo.update", "id": todo["id"], "if_version": 1, "data": {"priority": 1}}
    status, code, details = await refused(ana, create("one"), operation)
    assert (status, code, details["index"]) == (412, "PRECONDITION_FAILED", 1)
    assert details["details"]["etag"].endswith('.2"')


@pytest.mark.parametrize(
    ("operations", "field"),
    [
        ([], "body.operations"),
        ([create("x")] * 101, "body.operations"),
        ([{"op": "todo.burn", "id": str(uuid4())}], "body.operations.0.op"),
        ([create("x"), create("")], "body.operations.1.data.title"),
        ([{"op": "todo.update", "data": {"title": "x"}}], "body.operations.0.id"),
        ([{"op": "todo.update", "id": "$none", "data": {}}], "body.operations.0.id"),
        ([{"op": "todo.update", "id": "x", "data": {}}], "body.operations.0.id"),
        ([create("x", list_id="$none")], "body.operations.0.data.list_id"),
        ([{"op": "todo.create", "ref": "a", "data": {"title": "$a"}}] * 2, "body.operations.1.ref"),
        ([{"op": "todo.create", "if_version": 1, "data": {"title": "x"}}], "body.operations.0.if_version"),
        ([{"op": "todo.create", "id": str(uuid4()), "data": {"title": "x"}}], "body.operations.0.id"),
        ([{"op": "todo.delete", "id": str(uuid4()), "data": {"x": 1}}], "body.operations.0.data.x"),
    ],
)
async def test_what_is_not_valid_is_named_and_nothing_has_happened(
    ana: Person, operations: list[Op], field: str
) -> None:
    answer = await ana.post("/batch", {"operations": operations})
    assert answer.status_code == 422
    assert answer.json()["error"]["details"][0]["field"] == field
    assert (await ana.get("/todos")).json()["items"] == []


async def test_a_title_may_look_like_a_reference(ana: Person) -> None:
    (result,) = await run(ana, create("$100"))
    assert result["todo"]["title"] == "$100"


async def test_one_key_is_for_the_whole_batch(ana: Person) -> None:
    key = {"Idempotency-Key": "once"}
    body = {"operations": [create("one"), create("two")]}
    first = await ana.post("/batch", body, headers=key)
    again = await ana.post("/batch", body, headers=key)
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert len((await ana.get("/todos")).json()["items"]) == 2
    recurring = create("water", due={"date": "2026-11-22"}, recurrence={"rule": "FREQ=DAILY"})
    (made,) = await run(ana, recurring)
    complete = {"op": "todo.complete", "id": made["todo"]["id"]}
    assert (await refused(ana, complete))[:2] == (428, "OCCURRENCE_REQUIRED")
    (done,) = await run(ana, complete, headers={"Idempotency-Key": "done"})
    assert done["todo"]["due"]["date"] > "2026-11-22"


async def test_the_position_is_told_when_one_list_was_written_to(ana: Person) -> None:
    home = await ana.list()
    answer = await ana.post("/batch", {"operations": [create("one"), create("two")]})
    revision = (await ana.get(f"/lists/{ana.inbox_id}/events")).json()["revision"]
    assert answer.headers["doable-position"].endswith(f":{revision}")
    both = await ana.post("/batch", {"operations": [create("one"), create("two", list_id=home["id"])]})
    assert "doable-position" not in both.headers


async def test_a_token_needs_the_scope_of_each_operation(ana: Person) -> None:
    token = (await ana.post("/users/me/tokens", {"name": "t", "scopes": ["todos:write"]})).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    await run(ana, create("one"), headers=headers)
    body = {"operations": [create(""), {"op": "list.create", "data": {"name": "x"}}]}
    answer = await ana.post("/batch", body, headers=headers)
    assert answer.json()["error"]["code"] == "INSUFFICIENT_SCOPE"


async def test_strangers_todos_and_lists_are_not_there(ana: Person, bob: Person) -> None:
    todo, home = await bob.todo(), await bob.list()
    unknown = str(uuid4())
    for theirs, nobodys in (
        ({"op": "todo.update", "id": todo["id"], "data": {"title": "x"}},) * 2,
        (create("x", list_id=home["id"]), create("x", list_id=unknown)),
        (create("x", parent_id=todo["id"]), create("x", parent_id=unknown)),
        ({"op": "list.update", "id": home["id"], "data": {}}, {"op": "list.update", "id": unknown, "data": {}}),
    ):
        nobodys_own = {**nobodys, "id": unknown} if nobodys is theirs else nobodys
        assert await refused(ana, theirs) == await refused(ana, nobodys_own)


@pytest.mark.parametrize("role", [None, "viewer"])
async def test_who_may_not_write_in_a_list_takes_no_lock_of_it(
    running: asgi.Running, ana: Person, bob: Person, role: str | None
) -> None:
    db: Database = running.state["db"]
    home = await ana.list()
    todo = await ana.todo(list_id=home["id"])
    if role is not None:
        await join(ana, bob, home["id"], role)
    operations = (
        create("x", list_id=home["id"]),
        {"op": "todo.delete", "id": todo["id"]},
        {"op": "list.update", "id": home["id"], "data": {"name": "x"}},
    )
    async with db.transaction() as tx:
        await streams.lock(tx, [UUID(home["id"])])
        for operation in operations:
            async with asyncio.timeout(5):
                status, _, _ = await asyncio.create_task(refused(bob, operation))
            assert status == (404 if role is None else 403)


async def test_batches_over_the_same_lists_in_any_order_do_not_lock_each_other_out(ana: Person) -> None:
    homes = [(await ana.list(f"List {n}"))["id"] for n in range(3)]

    async def one(n: int) -> int:
        order = homes[n % 3 :] + homes[: n % 3]
        order = order if n % 2 else order[::-1]
        body = {"operations": [create(f"{n}", list_id=list_id) for list_id in order]}
        return (await ana.post("/batch", body)).status_code

    assert set(await asyncio.gather(*(one(n) for n in range(24)))) == {200}
    for list_id in homes:
        assert (await ana.get(f"/lists/{list_id}/events")).json()["revision"] == 2 + 24
