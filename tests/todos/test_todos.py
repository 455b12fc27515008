"""Todos over HTTP: what is sent is kept, what is not sent is not touched, and nobody sees another's."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.support.people import Person

SOME_ID = "0190f5a0-7c3e-7b1a-9d2c-5f6e7a8b9c0d"
KEYS = {
    "id", "list_id", "parent_id", "position", "title", "description", "priority", "completed", "completed_at", "due",
    "recurrence", "labels", "assignee_id", "created_by", "created_at", "updated_at", "deleted_at", "version",
}  # fmt: skip


async def test_a_new_todo_is_in_the_inbox_with_all_keys_of_the_contract(ana: Person) -> None:
    answer = await ana.post("/todos/", {"title": "  Test Todo ", "priority": 3})
    todo = answer.json()
    assert answer.status_code == 201
    assert set(todo) == KEYS
    assert (todo["title"], todo["priority"], todo["list_id"]) == ("Test Todo", 3, ana.inbox_id)
    assert (todo["completed"], todo["completed_at"], todo["description"], todo["labels"]) == (False, None, None, [])
    assert todo["created_by"] == ana.user["id"]
    assert len(todo["created_at"]) == 24
    assert todo["version"] == 1
    assert answer.headers["location"] == f"/api/v1/todos/{todo['id']}"
    assert answer.headers["doable-position"].endswith(":3")
    read = await ana.get(f"/todos/{todo['id']}")
    assert read.json() == todo
    assert read.headers["etag"] == answer.headers["etag"]
    assert read.headers["cache-control"] == "private, no-cache"


async def test_an_id_made_by_the_client_is_kept_and_a_repeat_refused(ana: Person, bob: Person) -> None:
    chosen = str(uuid4())
    assert (await ana.todo(id=chosen.upper()))["id"] == chosen
    for person in (ana, bob):
        answer = await person.post("/todos", {"id": chosen, "title": "again"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "ALREADY_EXISTS")
    assert (await ana.get(f"/todos/{chosen}")).json()["title"] == "Buy milk"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"title": ""}, "body.title"),
        ({"title": "   "}, "body.title"),
        ({"title": None}, "body.title"),
        ({"title": 7}, "body.title"),
        ({"title": "x" * 201}, "body.title"),
        ({"title": "nul \0"}, "body.title"),
        ({"title": "two\nlines"}, "body.title"),
        ({"description": "x" * 1001}, "body.description"),
        ({"description": 1}, "body.description"),
        ({"priority": 0}, "body.priority"),
        ({"priority": 6}, "body.priority"),
        ({"priority": None}, "body.priority"),
        ({"priority": "3"}, "body.priority"),
        ({"priority": 3.0}, "body.priority"),
        ({"priority": True}, "body.priority"),
        ({"priority": 2**63}, "body.priority"),
        ({"id": SOME_ID}, "body.id"),
        ({"list_id": SOME_ID}, "body.list_id"),
        ({"version": 9}, "body.version"),
        ({"created_by": SOME_ID}, "body.created_by"),
        ({"nonsense": 1}, "body.nonsense"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_bad_member_is_named_and_nothing_changes(ana: Person, change: dict[str, Any], field: str) -> None:
    todo = await ana.todo(description="as it was")
    answer = await ana.patch(f"/todos/{todo['id']}", change)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "VALIDATION_ERROR")
    assert [detail["field"] for detail in error["details"]] == [field]
    assert (await ana.get(f"/todos/{todo['id']}")).json() == todo


@pytest.mark.parametrize(
    "body",
    [
        {"title": "x", "id": None}, {"title": "x", "list_id": None}, {"title": "\x1fx"}, {"title": "x\x85"},
        {"title": "\x0bx"}, {"title": "x", "id": "00000000-0000-0000-0000-000000000000"},
    ],
    ids=str,
)  # fmt: skip
async def test_what_the_contract_does_not_allow_is_refused_on_creation(ana: Person, body: dict[str, Any]) -> None:
    answer = await ana.post("/todos", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_ERROR")
    assert (await ana.get("/todos")).json()["items"] == []


async def test_a_completion_may_name_the_occurrence_that_was_seen(ana: Person) -> None:
    todo = await ana.todo()
    path = f"/todos/{todo['id']}/completion"
    for bad in (None, {"occurrence": None}, {"occurrence": "yesterday"}, {"completed_at": None}, {"completed_at": 1}):
        headers = {"Content-Type": "application/json"}
        answer = await ana.request("PUT", path, content=json.dumps(bad), headers=headers)
        assert answer.status_code == 422, bad
    assert (await ana.put(path, {"occurrence": "2026-11-22"})).json()["completed"] is True


async def test_a_number_of_5000_digits_is_out_of_range(ana: Person) -> None:
    todo = await ana.todo()
    content = '{"priority": %s}' % ("9" * 5000)
    answer = await ana.request(
        "PATCH", f"/todos/{todo['id']}", content=content, headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (422, "body.priority")
    assert len(answer.content) < 2000


async def test_patch_touches_only_what_is_sent(ana: Person) -> None:
    todo = await ana.todo(description="two litres", priority=1)
    path = f"/todos/{todo['id']}"
    for change in ({"title": "Oat milk"}, {"priority": 5}, {"description": "one litre"}, {"completed": True}):
        before = (await ana.get(path)).json()
        after = (await ana.patch(path, change)).json()
        moved = {"version", "updated_at", "completed_at"} if "completed" in change else {"version", "updated_at"}
        assert {key for key in after if after[key] != before[key]} <= {*change, *moved}
        assert {key: after[key] for key in change} == change
        assert after["version"] == before["version"] + 1
        assert after == (await ana.get(path)).json()


async def test_null_clears_the_description_and_an_absent_one_stays(ana: Person) -> None:
    todo = await ana.todo(description="two litres")
    assert (await ana.patch(f"/todos/{todo['id']}", {})).json() == todo
    assert (await ana.patch(f"/todos/{todo['id']}", {"title": "x"})).json()["description"] == "two litres"
    assert (await ana.patch(f"/todos/{todo['id']}", {"description": None})).json()["description"] is None


async def test_a_patch_that_changes_nothing_changes_no_version_and_makes_no_position(ana: Person) -> None:
    todo = await ana.todo(description="two litres", priority=2)
    answer = await ana.patch(f"/todos/{todo['id']}", {"title": "Buy milk", "priority": 2, "completed": False})
    assert answer.status_code == 200
    assert answer.json() == todo
    assert "doable-position" not in answer.headers


async def test_completion_is_idempotent_in_both_directions(ana: Person) -> None:
    todo = await ana.todo()
    path = f"/todos/{todo['id']}/completion"
    done = (await ana.put(path, {"completed_at": "2026-01-02T03:04:05+02:00"})).json()
    assert (done["completed"], done["completed_at"], done["version"]) == (True, "2026-01-02T01:04:05.000Z", 2)
    assert (await ana.put(path)).json() == done
    opened = (await ana.delete(path)).json()
    assert (opened["completed"], opened["completed_at"], opened["version"]) == (False, None, 3)
    assert (await ana.delete(path)).json() == opened
    assert (await ana.put(path)).json()["completed_at"] is not None


async def test_a_deleted_todo_is_in_the_trash_and_out_of_the_list(ana: Person) -> None:
    todo = await ana.todo()
    path = f"/todos/{todo['id']}"
    first = await ana.delete(path)
    assert (first.status_code, first.content) == (204, b"")
    assert (await ana.delete(path)).status_code == 204
    assert (await ana.get("/todos")).json()["items"] == []
    assert (await ana.get(path)).json()["deleted_at"] is not None
    for answer in (await ana.patch(path, {"title": "x"}), await ana.put(f"{path}/completion")):
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "IN_TRASH")


async def test_a_stranger_gets_the_answer_of_an_unknown_id(ana: Person, bob: Person) -> None:
    todo = await ana.todo()
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "", {}),
        ("PATCH", "", {"json": {"title": "mine"}}),
        ("DELETE", "", {}),
        ("PUT", "/completion", {}),
        ("DELETE", "/completion", {}),
    ]
    for method, rest, options in calls:
        answers = [await bob.request(method, f"/todos/{id_}{rest}", **options) for id_ in (todo["id"], uuid4())]
        hidden, unknown = map(_without_request_id, answers)
        assert hidden == unknown
        assert answers[0].status_code == 404
    for list_id in (ana.inbox_id, str(uuid4())):
        answer = await bob.post("/todos", {"title": "x", "list_id": list_id})
        assert (answer.status_code, answer.json()["error"]["message"]) == (404, "There is no such list.")
        assert (await bob.get(f"/todos?list_id={list_id}")).status_code == 404
    assert (await ana.get(f"/todos/{todo['id']}")).json() == todo
    assert (await bob.get("/todos")).json()["items"] == []


@pytest.mark.parametrize("bad", ["1", "null", "0" * 32, SOME_ID[:-1], "%00", f"{SOME_ID}%0A", "2" * 5000])
async def test_a_bad_id_in_the_path_is_422(ana: Person, bad: str) -> None:
    answer = await ana.get(f"/todos/{bad}")
    assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (422, "path.todo_id")


async def test_two_editors_of_different_fields_both_win(ana: Person) -> None:
    todo = await ana.todo()
    changes = [{"title": f"t{n}"} if n % 2 else {"priority": n % 5 + 1} for n in range(20)]
    answers = await asyncio.gather(*(ana.patch(f"/todos/{todo['id']}", change) for change in changes))
    assert {answer.status_code for answer in answers} == {200}
    last = (await ana.get(f"/todos/{todo['id']}")).json()
    changed = [answer for answer in answers if "doable-position" in answer.headers]
    assert last["version"] == 1 + len(changed)
    assert len({answer.headers["doable-position"] for answer in changed}) == len(changed)
    assert last["title"].startswith("t")
    assert (await ana.get(f"/todos?list_id={ana.inbox_id}")).headers["etag"].endswith(f'.{3 + len(changed)}"')


async def test_todos_made_at_once_have_positions_of_their_own_in_the_order_of_their_revisions(ana: Person) -> None:
    answers = await asyncio.gather(*(ana.post("/todos", {"title": f"{n}"}) for n in range(70)))
    revisions = {int(answer.headers["doable-position"].split(":")[1]): answer.json() for answer in answers}
    assert sorted(revisions) == list(range(3, 73))
    by_position = sorted(revisions.values(), key=lambda todo: todo["position"].encode())
    assert by_position == [revisions[n] for n in range(3, 73)]
    items = (await ana.get(f"/todos?list_id={ana.inbox_id}&size=200")).json()["items"]
    assert items == by_position


def _without_request_id(answer: httpx2.Response) -> tuple[int, Any, dict[str, str]]:
    body = answer.json()
    del body["error"]["request_id"]
    volatile = {"x-request-id", "ratelimit-remaining", "ratelimit-reset", "date", "content-length"}
    return answer.status_code, body, {name: v for name, v in answer.headers.items() if name not in volatile}
