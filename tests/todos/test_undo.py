"""Undo: what a person has done is taken back whole, or not at all, and never what came after it."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import delete, update

from doable.core.db import Database
from doable.core.events import events
from doable.core.streams import streams
from doable.todos import ordering
from tests.support import asgi, folding
from tests.support.people import Person
from tests.support.sharing import join

type Json = dict[str, Any]

DUE = {"date": "2090-11-27", "time": "14:30", "timezone": "Europe/Zagreb"}
WEEKLY = {"rule": "FREQ=WEEKLY"}
CHANGES: list[tuple[Json, Json]] = [
    ({}, {"title": "Oat milk"}),
    ({}, {"description": "two litres", "priority": 1}),
    ({"description": "two litres"}, {"description": None}),
    ({}, {"labels": ["Home", "work"]}),
    ({"labels": ["a", "b"]}, {"labels": ["b"], "title": "x"}),
    ({}, {"due": DUE}),
    ({"due": DUE}, {"due": {"date": "2091-01-01"}}),
    ({"due": DUE}, {"due": None}),
    ({"due": DUE}, {"recurrence": WEEKLY}),
    ({"due": DUE, "recurrence": WEEKLY}, {"recurrence": None, "due": None}),
    ({}, {"completed": True}),
    ({}, {"completed": True, "title": "done", "priority": 5}),
]


@pytest.fixture
async def home(ana: Person) -> str:
    return str((await ana.list())["id"])


async def last_of(person: Person, home: str) -> int:
    return int((await person.get(f"/lists/{home}/events?limit=1000")).json()["revision"])


async def undo(person: Person, home: str, revision: int | None = None, **options: Any) -> httpx2.Response:
    """The last event, unless another is named."""
    revision = await last_of(person, home) if revision is None else revision
    return await person.post(f"/lists/{home}/events/{revision}/undo", **options)


async def state(person: Person, home: str) -> tuple[Json, list[Json]]:
    """What there is, without what every change changes."""
    the_list, todos = await folding.shown(person, home)
    return _plain(the_list), [_plain(todo) for todo in todos]


def _plain(shown: Json) -> Json:
    return {name: value for name, value in shown.items() if name not in {"version", "updated_at"}}


async def _there_and_back(ana: Person, home: str, before: Any) -> list[Json]:
    """Undo the last operation, and undo the undo, and that; the events of the first."""
    after = await state(ana, home)
    revision = await last_of(ana, home)
    answer = await undo(ana, home)
    assert answer.status_code == 200, answer.text
    made: list[Json] = answer.json()["events"]
    assert [event["revision"] for event in made] == list(range(revision + 1, revision + 1 + len(made)))
    assert len({event["operation_id"] for event in made}) == 1
    assert answer.headers["doable-position"].endswith(f":{made[-1]['revision']}")
    logged = (await ana.get(f"/lists/{home}/events?limit=1000")).json()["events"]
    assert logged[revision:] == made
    assert await state(ana, home) == before
    assert (await undo(ana, home)).status_code == 200
    assert await state(ana, home) == after
    assert (await undo(ana, home)).status_code == 200
    assert await state(ana, home) == before
    copy = await folding.fold(ana, home)
    assert copy.in_order() == (await folding.shown(ana, home))[1]
    return made


def refusal(answer: httpx2.Response) -> tuple[int, str, Any]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], (error["details"] or {}).get("reason")


@pytest.mark.parametrize(("members", "change"), CHANGES, ids=str)
async def test_changed_fields_are_what_they_were(ana: Person, home: str, members: Json, change: Json) -> None:
    todo = await ana.todo(list_id=home, **members)
    before = await state(ana, home)
    assert (await ana.patch(f"/todos/{todo['id']}", change)).status_code == 200
    await _there_and_back(ana, home, before)


async def test_each_verb_is_undone_by_its_opposite(ana: Person, home: str) -> None:
    empty = await state(ana, home)
    todo = await ana.todo(list_id=home)
    path = f"/todos/{todo['id']}"
    created = await state(ana, home)
    assert [event["kind"] for event in await _there_and_back(ana, home, empty)] == ["todo.deleted"]
    await ana.put(f"{path}/restoration")
    assert await state(ana, home) == created
    assert [event["kind"] for event in await _there_and_back(ana, home, empty)] == ["todo.deleted"]
    await ana.put(f"{path}/restoration")
    await ana.put(f"{path}/completion")
    completed = await state(ana, home)
    assert [event["kind"] for event in await _there_and_back(ana, home, created)] == ["todo.reopened"]
    await ana.put(f"{path}/completion", {"completed_at": completed[1][0]["completed_at"]})
    await ana.delete(f"{path}/completion")
    assert [event["kind"] for event in await _there_and_back(ana, home, completed)] == ["todo.completed"]
    await ana.delete(path)
    assert [event["kind"] for event in await _there_and_back(ana, home, completed)] == ["todo.restored"]


async def test_a_list_gets_its_name_and_its_place_back(ana: Person, home: str) -> None:
    before = await state(ana, home)
    await ana.patch(f"/lists/{home}", {"name": "x", "color": "#123456", "archived": True})
    assert [event["kind"] for event in await _there_and_back(ana, home, before)] == ["list.updated"]


async def test_what_one_request_did_to_many_is_undone_together(ana: Person, home: str) -> None:
    top = await ana.todo("top", list_id=home)
    for n in range(3):
        child = await ana.todo(f"{n}", parent_id=top["id"])
        await ana.todo(f"{n}.1", parent_id=child["id"])
    done = await ana.todo("done", parent_id=top["id"])
    await ana.put(f"/todos/{done['id']}/completion")
    before = await state(ana, home)
    await ana.put(f"/todos/{top['id']}/completion")
    assert len(await _there_and_back(ana, home, before)) == 7
    await ana.delete(f"/todos/{top['id']}")
    assert len(await _there_and_back(ana, home, before)) == 8
    middle = await last_of(ana, home) - 3
    assert (await undo(ana, home, middle)).status_code == 200, "any event of the operation will do"
    assert (await state(ana, home))[1] == []


async def test_who_was_moved_is_among_the_same_todos_again(ana: Person, home: str) -> None:
    todos = [await ana.todo(f"{n}", list_id=home) for n in range(4)]
    await ana.todo("below", parent_id=todos[2]["id"])

    async def order() -> dict[str | None, list[str]]:
        siblings: dict[str | None, list[str]] = {}
        for todo in (await state(ana, home))[1]:
            siblings.setdefault(todo["parent_id"], []).append(todo["title"])
        return siblings

    before = await order()
    for index, place in (
        (3, {"before": todos[0]["id"]}),
        (0, {}),
        (1, {"parent_id": todos[2]["id"]}),
        (3, {"parent_id": todos[0]["id"]}),
    ):
        assert (await ana.put(f"/todos/{todos[index]['id']}/position", place)).status_code == 200
        after = await order()
        assert after != before
        for expected in (before, after, before):
            assert (await undo(ana, home)).status_code == 200
            assert await order() == expected


async def test_a_move_that_made_others_make_room_is_undone_among_them(
    ana: Person, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ordering, "LONGEST", 3)
    todos = [await ana.todo(f"{n}", list_id=home) for n in range(6)]
    made_room = 0
    for n in range(16):
        before, start = [todo["title"] for todo in (await state(ana, home))[1]], await last_of(ana, home)
        await ana.put(f"/todos/{todos[2 + n % 4]['id']}/position", {"after": todos[0]["id"]})
        made_room += await last_of(ana, home) > start + 1
        after = [todo["title"] for todo in (await state(ana, home))[1]]
        for expected in (before, after):
            assert (await undo(ana, home)).status_code == 200
            assert [todo["title"] for todo in (await state(ana, home))[1]] == expected
    assert made_room


async def test_an_occurrence_that_was_completed_by_mistake_has_not_been_done(ana: Person, home: str) -> None:
    todo = await ana.todo(list_id=home, due=DUE, recurrence={"rule": "FREQ=WEEKLY;COUNT=2"})
    child = await ana.todo("child", parent_id=todo["id"])
    path = f"/todos/{todo['id']}"
    await ana.put(f"/todos/{child['id']}/completion")
    states = []
    for date in ("2090-11-27", "2090-12-04"):
        states.append(await state(ana, home))
        assert (await ana.put(f"{path}/completion", {"occurrence": date})).status_code == 200
    assert (await ana.get(path)).json()["completed"] is True
    last = await last_of(ana, home)
    for expected, revision, left in ((states[1], last, 1), (states[0], last - 3, 0)):
        answer = await undo(ana, home, revision)
        assert answer.status_code == 200, answer.text
        assert await state(ana, home) == expected
        assert (await ana.get(f"{path}/occurrences")).json()["total"] == left
    assert (await ana.put(f"{path}/completion", {"occurrence": "2090-11-27"})).json()["due"]["date"] == "2090-12-04"
    assert (await ana.get(f"{path}/occurrences")).json()["total"] == 1


async def test_what_changes_beside_it_stays(ana: Person, bob: Person, home: str) -> None:
    await join(ana, bob, home)
    todo = await ana.todo(list_id=home)
    await ana.patch(f"/todos/{todo['id']}", {"title": "x"})
    mine = await last_of(ana, home)
    await bob.patch(f"/todos/{todo['id']}", {"priority": 1, "labels": ["his"]})
    assert (await undo(ana, home, mine)).status_code == 200
    now = (await ana.get(f"/todos/{todo['id']}")).json()
    assert (now["title"], now["priority"], now["labels"]) == ("Buy milk", 1, ["his"])
    assert (await ana.get("/todos?q=milk")).json()["items"] == [now], "the search knows"
    assert (await ana.get("/todos?q=x")).json()["items"] == []


async def test_what_is_newer_stands_in_the_way(ana: Person, bob: Person, home: str) -> None:
    await join(ana, bob, home)
    todo = await ana.todo(list_id=home)
    path = f"/todos/{todo['id']}"
    await ana.patch(path, {"title": "x", "priority": 1})
    mine = await last_of(ana, home)
    await bob.patch(path, {"title": "y"})
    before = await state(ana, home)
    answer = await undo(ana, home, mine)
    assert refusal(answer) == (409, "UNDO_CONFLICT", "changed")
    assert answer.json()["error"]["details"] == {"reason": "changed", "todo_id": todo["id"], "fields": ["title"]}
    assert refusal(await undo(ana, home, mine - 1)) == (409, "UNDO_CONFLICT", "changed"), "of its creation too"
    await bob.patch(path, {"title": "x"})
    await bob.post("/todos", {"title": "below", "parent_id": todo["id"]})
    await ana.put(f"{path}/completion")
    done = await last_of(ana, home)
    await bob.delete(f"{path}/completion")
    assert refusal(await undo(ana, home, done)) == (409, "UNDO_CONFLICT", "changed")
    await bob.delete(path)
    assert refusal(await undo(ana, home, mine)) == (409, "UNDO_CONFLICT", "in_trash")
    await ana.delete(f"/trash/{todo['id']}")
    assert refusal(await undo(ana, home, mine)) == (409, "UNDO_CONFLICT", "gone")
    assert (await state(ana, home))[0] == before[0]


async def test_a_todo_with_something_new_below_it_is_not_thrown_away(ana: Person, bob: Person, home: str) -> None:
    await join(ana, bob, home)
    todo = await ana.todo(list_id=home)
    mine = await last_of(ana, home)
    below = (await bob.post("/todos", {"title": "below", "parent_id": todo["id"]})).json()
    assert refusal(await undo(ana, home, mine)) == (409, "UNDO_CONFLICT", "changed")
    await bob.delete(f"/todos/{below['id']}")
    assert (await undo(ana, home, mine)).status_code == 200


async def test_a_rule_that_has_come_between_is_told(ana: Person, bob: Person, home: str) -> None:
    await join(ana, bob, home)
    todo = await ana.todo(list_id=home, assignee_id=bob.user["id"], due=DUE, recurrence=WEEKLY)
    path = f"/todos/{todo['id']}"
    await ana.patch(path, {"assignee_id": None})
    unassigned = await last_of(ana, home)
    await ana.patch(path, {"recurrence": None})
    stopped = await last_of(ana, home)
    await ana.patch(path, {"due": None})
    assert refusal(await undo(ana, home, stopped)) == (409, "UNDO_CONFLICT", "refused")
    await bob.delete(f"/lists/{home}/members/{bob.user['id']}")
    answer = await undo(ana, home, unassigned)
    assert refusal(answer) == (409, "UNDO_CONFLICT", "refused")
    details = answer.json()["error"]["details"]
    assert (details["code"], details["details"][0]["field"]) == ("VALIDATION_ERROR", "body.assignee_id")


async def test_what_cannot_be_undone(ana: Person, bob: Person, home: str) -> None:
    await join(ana, bob, home)
    todo = await ana.todo(list_id=home, assignee_id=bob.user["id"])
    assert refusal(await undo(ana, home, 1)) == (409, "UNDO_CONFLICT", "kind")
    assert refusal(await undo(ana, home, 2)) == (409, "UNDO_CONFLICT", "kind")
    await ana.delete(f"/lists/{home}/members/{bob.user['id']}")
    for revision in (await last_of(ana, home), await last_of(ana, home) - 1):
        assert refusal(await undo(ana, home, revision)) == (409, "UNDO_CONFLICT", "kind"), "member.removed and with it"
    await ana.put(f"/todos/{todo['id']}/position", {"list_id": ana.inbox_id})
    assert refusal(await undo(ana, home)) == (409, "UNDO_CONFLICT", "kind")
    assert refusal(await undo(ana, ana.inbox_id)) == (409, "UNDO_CONFLICT", "kind")
    await join(ana, bob, home)
    await ana.put(f"/lists/{home}/owner", {"user_id": bob.user["id"]})
    answers = [await undo(ana, home, await last_of(ana, home) - n) for n in range(3)]
    assert {refusal(answer) for answer in answers} == {(409, "UNDO_CONFLICT", "kind")}


async def test_only_who_did_it_and_may_still_write_undoes_it(ana: Person, bob: Person, home: str) -> None:
    await ana.todo(list_id=home)
    mine = await last_of(ana, home)
    assert (await undo(bob, home, mine)).status_code == 404
    await join(ana, bob, home)
    answer = await undo(bob, home, mine)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN")
    await bob.post("/todos", {"title": "his", "list_id": home})
    his = await last_of(ana, home)
    assert (await undo(ana, home, his)).status_code == 403
    await ana.patch(f"/lists/{home}/members/{bob.user['id']}", {"role": "viewer"})
    assert (await undo(bob, home, his)).status_code == 403


async def test_what_is_not_in_the_log(ana: Person, home: str, running: asgi.Running) -> None:
    await ana.todo(list_id=home)
    for revision, status in ((0, 422), ("x", 422), ("1_0", 422), (10**18, 422), (4, 404), (10**17, 404)):
        assert (await ana.post(f"/lists/{home}/events/{revision}/undo")).status_code == status
    assert (await ana.post(f"/lists/{uuid4()}/events/1/undo")).status_code == 404
    db: Database = running.state["db"]
    async with db.transaction() as tx:
        await tx.execute(delete(events).where(events.c.revision <= 2))
        await tx.execute(update(streams).values(trimmed=2))
    answer = await undo(ana, home, 2)
    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "POSITION_LOST")
    assert (await undo(ana, home, 3)).status_code == 200


async def test_a_token_for_todos_does_not_reach_the_list(ana: Person, home: str) -> None:
    await ana.todo(list_id=home)
    await ana.patch(f"/lists/{home}", {"name": "x"})
    made = await ana.post("/users/me/tokens", {"name": "t", "scopes": ["todos:write"]})
    headers = {"Authorization": f"Bearer {made.json()['token']}"}
    assert (await undo(ana, home, 4, headers=headers)).json()["error"]["code"] == "INSUFFICIENT_SCOPE"
    assert (await undo(ana, home, 3, headers=headers)).status_code == 200


async def test_of_many_undos_at_once_one_has_an_effect(ana: Person, home: str) -> None:
    todo = await ana.todo(list_id=home)
    await ana.patch(f"/todos/{todo['id']}", {"title": "x"})
    answers = await asyncio.gather(*(undo(ana, home, 4) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    assert await last_of(ana, home) == 5
    await ana.patch(f"/todos/{todo['id']}", {"title": "x"})
    keyed = await asyncio.gather(*(undo(ana, home, 6, headers={"Idempotency-Key": "k"}) for _ in range(8)))
    assert {(answer.status_code, answer.text) for answer in keyed} == {(200, keyed[0].text)}
    assert await last_of(ana, home) == 7
