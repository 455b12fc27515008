"""The log over HTTP: applied in order it gives what GET shows, and it says nothing that has not happened."""

import asyncio
import random
from typing import Any

import pytest
from sqlalchemy import func, select, update

from doable import features
from doable.accounts import endings
from doable.core import failpoints
from doable.core.db import Database
from doable.core.events import COLUMNS, EventRow, events
from doable.core.queries import query, scalar
from doable.core.streams import streams
from doable.todos.events import TodoGone
from tests.support import asgi, folding
from tests.support.jobs import work
from tests.support.people import PASSWORD, Person
from tests.support.sharing import join

SOME_ID = "0190f5a0-7c3e-7b1a-9d2c-5f6e7a8b9c0d"
OURS = events.c.stream_id != endings.STREAM
ALL = query(EventRow, select(*COLUMNS).where(OURS).order_by(events.c.stream_id, events.c.revision))
KINDS = {kind: shape for feature in features.FEATURES for kind, shape in feature.events.items()}
PERSONAL = {kind: shape for feature in features.FEATURES for kind, shape in feature.personal_events.items()}

type Json = dict[str, Any]


async def log_of(person: Person, list_id: str, query: str = "") -> Json:
    answer = await person.get(f"/lists/{list_id}/events{query}")
    assert answer.status_code == 200, answer.text
    page: Json = answer.json()
    return page


async def kinds_after(person: Person, list_id: str, revision: int) -> list[str]:
    page = await log_of(person, list_id, f"?after={await folding.epoch_of(person)}:{revision}")
    return [event["kind"] for event in page["events"]]


async def test_a_new_list_begins_with_itself_and_its_owner(ana: Person) -> None:
    made = await ana.list()
    for list_id in (made["id"], ana.inbox_id):
        page = await log_of(ana, list_id)
        created, added = page["events"]
        assert (page["revision"], page["more"], page["epoch"]) == (2, False, await folding.epoch_of(ana))
        assert set(created) == {"list_id", "revision", "operation_id", "at", "actor_id", "kind", "data"}
        assert (created["kind"], added["kind"]) == ("list.created", "member.added")
        assert (created["revision"], added["revision"]) == (1, 2)
        assert created["operation_id"] == added["operation_id"]
        assert {created["actor_id"], added["actor_id"]} == {ana.user["id"]}
        assert (await folding.shown(ana, list_id))[0] == created["data"]["list"]
        owner = {"user": {"id": ana.user["id"], "username": "ana"}, "role": "owner", "joined_at": created["at"]}
        assert added["data"] == {"member": owner, "changes": None}


async def test_each_change_is_one_event_that_says_what_was_before(ana: Person) -> None:
    todo = await ana.todo()
    path = f"/todos/{todo['id']}"
    patched = (await ana.patch(path, {"title": "Oat milk", "priority": 1})).json()
    both = (await ana.patch(path, {"title": "Rice milk", "completed": True})).json()
    opened = (await ana.delete(f"{path}/completion")).json()
    completed = (await ana.put(f"{path}/completion")).json()
    await ana.patch(path, {"completed": False})
    gone = await ana.delete(path)
    told = (await log_of(ana, ana.inbox_id))["events"][2:]
    assert [event["kind"] for event in told] == [
        "todo.created", "todo.updated", "todo.completed", "todo.reopened", "todo.completed", "todo.reopened",
        "todo.deleted",
    ]  # fmt: skip
    assert [event["data"].get("todo") for event in told[:5]] == [todo, patched, both, opened, completed]
    assert told[1]["data"]["changes"] == {
        "title": {"from": "Buy milk", "to": "Oat milk"},
        "priority": {"from": 3, "to": 1},
    }
    assert told[2]["data"]["changes"] == {
        "title": {"from": "Oat milk", "to": "Rice milk"},
        "completed": {"from": False, "to": True},
        "completed_at": {"from": None, "to": both["completed_at"]},
    }
    assert told[6]["data"] == {"todo_id": todo["id"]}
    assert gone.headers["doable-position"] == f"{await folding.epoch_of(ana)}:{told[6]['revision']}"
    assert len({event["operation_id"] for event in told}) == len(told)
    assert [event["at"] for event in told] == sorted(event["at"] for event in told)


async def test_lists_are_changed_deleted_and_restored_in_the_log(ana: Person) -> None:
    made = await ana.list()
    path = f"/lists/{made['id']}"
    await ana.patch(path, {"name": "Food", "archived": True})
    await ana.delete(path)
    assert (await ana.get(f"{path}/events")).status_code == 404
    await ana.put(f"{path}/restoration")
    updated, deleted, restored = (await log_of(ana, made["id"]))["events"][2:]
    assert (updated["kind"], deleted["kind"], restored["kind"]) == ("list.updated", "list.deleted", "list.restored")
    archived_at = updated["data"]["list"]["archived_at"]
    assert updated["data"]["changes"] == {
        "name": {"from": "Groceries", "to": "Food"},
        "archived_at": {"from": None, "to": archived_at},
    }
    assert deleted["data"] == {}
    assert restored["data"]["changes"] == {"deleted_at": {"from": deleted["at"], "to": None}}
    assert restored["data"]["list"] == (await folding.shown(ana, made["id"]))[0]


async def test_what_changes_nothing_or_is_refused_makes_no_event(ana: Person, bob: Person) -> None:
    made = await ana.list()
    todo = await ana.todo(list_id=made["id"])
    path = f"/todos/{todo['id']}"
    for answer in (
        await ana.patch(path, {"title": "Buy milk", "priority": 3, "completed": False}),
        await ana.patch(path, {}),
        await ana.delete(f"{path}/completion"),
        await ana.patch(f"/lists/{made['id']}", {"name": "Groceries", "archived": False}),
        await ana.put(f"/lists/{made['id']}/restoration"),
        await ana.post("/todos", {"id": todo["id"], "title": "again", "list_id": made["id"]}),
        await ana.post("/todos", {"title": "", "list_id": made["id"]}),
        await bob.patch(path, {"title": "mine"}),
        await bob.post("/todos", {"title": "mine", "list_id": made["id"]}),
    ):
        assert "doable-position" not in answer.headers
    assert (await log_of(ana, made["id"]))["revision"] == 3
    assert await kinds_after(ana, made["id"], 2) == ["todo.created"]


async def test_requests_at_once_make_one_event_for_each_effect(ana: Person) -> None:
    todo = await ana.todo()
    path = f"/todos/{todo['id']}"
    for method, rest in (("PUT", "/completion"), ("DELETE", "/completion"), ("DELETE", "")):
        answers = await asyncio.gather(*(ana.request(method, f"{path}{rest}") for _ in range(6)))
        assert {answer.is_success for answer in answers} == {True}
        assert sum("doable-position" in answer.headers for answer in answers) == 1
    assert await kinds_after(ana, ana.inbox_id, 3) == ["todo.completed", "todo.reopened", "todo.deleted"]


async def test_a_transaction_that_fails_leaves_no_event(ana: Person, running: asgi.Running) -> None:
    todo = await ana.todo()
    before = await running.state["db"].reads.all(ALL)
    failpoints.set_action("db.before_commit", "raise")
    try:
        for answer in (
            await ana.post("/todos", {"title": "lost"}),
            await ana.patch(f"/todos/{todo['id']}", {"title": "lost"}),
            await ana.post("/lists", {"name": "lost"}),
        ):
            assert answer.status_code == 500
    finally:
        failpoints.set_action("db.before_commit", None)
    assert await running.state["db"].reads.all(ALL) == before
    await ana.patch(f"/todos/{todo['id']}", {"title": "kept"})
    assert await kinds_after(ana, ana.inbox_id, 0) == ["list.created", "member.added", "todo.created", "todo.updated"]


@pytest.mark.parametrize("seed", range(3))
async def test_the_events_over_nothing_give_what_get_shows(ana: Person, running: asgi.Running, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    made = await ana.list()
    path = f"/lists/{made['id']}"
    early = folding.Copy()
    for _ in range(100):
        todos = (await folding.shown(ana, made["id"]))[1]
        some = [todo["id"] for todo in chance.choices(todos, k=2)] if todos else []
        await _act(ana, path, made["id"], some, chance)
        if chance.random() < 0.2:
            await folding.catch_up(ana, made["id"], early, limit=chance.randint(1, 7))
    copy = await folding.fold(ana, made["id"], limit=7)
    while await folding.catch_up(ana, made["id"], early) > early.revision:
        pass
    assert early == copy
    assert (copy.home, copy.in_order()) == await folding.shown(ana, made["id"])
    assert list(copy.members) == [ana.user["id"]]
    await _every_event_has_the_shape_of_its_kind(running.state["db"])


async def _act(ana: Person, path: str, list_id: str, some: list[str], chance: random.Random) -> None:
    word = chance.choice(["milk", "žito", 'a "quote"', "\U0001f95b", "<b>\\"])
    if not some or chance.random() < 0.25:
        parent_id = chance.choice([None, *some])
        await ana.post("/todos", {"title": word, "list_id": list_id, "priority": 2, "parent_id": parent_id})
        return
    todo, other = f"/todos/{some[0]}", some[1]
    color = chance.choice([None, "#12aBcd"])
    both = {"priority": chance.randint(1, 5), "completed": chance.random() < 0.5}
    requests: list[list[tuple[str, str, object]]] = [
        [("PATCH", todo, {"title": word, "description": chance.choice([None, "two\nlines"])})],
        [("PATCH", todo, both)],
        [("PUT", f"{todo}/completion", {"completed_at": "2026-01-02T03:04:05.6789+02:00"})],
        [("DELETE", f"{todo}/completion", None)],
        [("DELETE", todo, None)],
        [("DELETE", todo, None), ("DELETE", f"/trash/{some[0]}", None)],
        [("DELETE", todo, None), ("PUT", f"{todo}/restoration", None)],
        [("PUT", f"{todo}/position", {chance.choice(["before", "after", "parent_id"]): other})],
        [("PUT", f"{todo}/position", {"parent_id": None})],
        [("PATCH", path, {"name": word, "color": color})],
        [("DELETE", path, None), ("PUT", f"{path}/restoration", None)],
    ]
    for method, where, body in chance.choice(requests):
        answer = await ana.request(method, where, json=body)
        assert answer.is_success or answer.json()["error"]["code"] in {"CONFLICT", "LIMIT_REACHED"}, answer.text


async def _every_event_has_the_shape_of_its_kind(database: Database) -> None:
    stored = await database.reads.all(ALL)
    shapes = KINDS | PERSONAL
    assert {row.kind for row in stored} <= set(shapes)
    purged = {row.data for row in stored if row.kind == "todo.purged"}
    for row in stored:
        shape = TodoGone if row.data in purged else shapes[row.kind]
        whole = shape.model_validate_json(row.data).model_dump_json(by_alias=True)
        assert whole == row.data


async def test_every_kind_is_told_in_the_shape_that_is_declared(
    ana: Person, bob: Person, running: asgi.Running
) -> None:
    made = await ana.list()
    todo = await ana.todo(list_id=made["id"])
    for body in ({"title": "x"}, {"completed": True}, {"completed": False}):
        await ana.patch(f"/todos/{todo['id']}", body)
    await ana.patch(f"/todos/{todo['id']}", {"due": {"date": "2090-11-27"}, "recurrence": {"rule": "FREQ=DAILY"}})
    await ana.put(f"/todos/{todo['id']}/completion", {"occurrence": "2090-11-27"})
    await ana.put(f"/todos/{(await ana.todo(list_id=made['id']))['id']}/position", {"before": todo["id"]})
    for list_id in (ana.inbox_id, made["id"]):
        await ana.put(f"/todos/{todo['id']}/position", {"list_id": list_id})
    await ana.delete(f"/todos/{todo['id']}")
    await ana.put(f"/todos/{todo['id']}/restoration")
    await ana.delete(f"/todos/{todo['id']}")
    await ana.delete(f"/trash/{todo['id']}")
    await ana.patch(f"/lists/{made['id']}", {"color": "#123456"})
    await ana.delete(f"/lists/{made['id']}")
    await ana.put(f"/lists/{made['id']}/restoration")
    await join(ana, bob, made["id"])
    await ana.patch(f"/lists/{made['id']}/members/{bob.user['id']}", {"role": "viewer"})
    await bob.patch("/users/me", {"username": "bobby"})
    await bob.delete(f"/lists/{made['id']}/members/{bob.user['id']}")
    assert {event["kind"] for event in (await log_of(ana, made["id"]))["events"]} == set(KINDS)
    await _every_event_has_the_shape_of_its_kind(running.state["db"])


async def test_pages_have_at_most_the_limit_and_say_whether_there_is_more(ana: Person) -> None:
    for n in range(5):
        await ana.todo(f"{n}")
    epoch = await folding.epoch_of(ana)
    first = await log_of(ana, ana.inbox_id, "?limit=3")
    assert ([event["revision"] for event in first["events"]], first["revision"], first["more"]) == ([1, 2, 3], 7, True)
    rest = await log_of(ana, ana.inbox_id, f"?after={epoch}:3&limit=4")
    assert ([event["revision"] for event in rest["events"]], rest["revision"], rest["more"]) == ([4, 5, 6, 7], 7, False)
    end = await log_of(ana, ana.inbox_id, f"?after={epoch}:7&limit=1000")
    assert (end["events"], end["revision"], end["more"]) == ([], 7, False)


@pytest.mark.parametrize(
    "query",
    [
        "after=", "after=7", "after=:7", "after=EPOCHEPOCH:7", "after=abcdefgh:", "after=abcdefgh:-1", "after=abc:1",
        "after=abcdefgh:01", "after=abcdefgh:1e3", "after=abcdefgh:1%0A", "after=abcdefgh:" + "9" * 19,
        "after=abcdefgh:%D9%A1", "limit=0", "limit=1001", "limit=x", "limit=1_0", "limit=%2B5", "nope=1",
    ],
)  # fmt: skip
async def test_a_bad_position_or_limit_is_422(ana: Person, query: str) -> None:
    answer = await ana.get(f"/lists/{ana.inbox_id}/events?{query}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["details"][0]["field"] == f"query.{query.partition('=')[0]}"


async def test_a_position_that_is_lost_is_410(ana: Person, running: asgi.Running) -> None:
    epoch = await folding.epoch_of(ana)
    for n in range(4):
        await ana.todo(f"{n}")
    await _trim(running.state["db"], 3)
    lost = ["?after=0123456789ab:5", "?after=0123456789ab:0", f"?after={epoch}:7", f"?after={epoch}:" + "9" * 18]
    lost += ["", f"?after={epoch}:0", f"?after={epoch}:2"]  # trimmed
    for bad in lost:
        answer = await ana.get(f"/lists/{ana.inbox_id}/events{bad}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (410, "POSITION_LOST"), bad
    assert await kinds_after(ana, ana.inbox_id, 3) == ["todo.created"] * 3
    assert await kinds_after(ana, ana.inbox_id, 6) == []
    await _trim(running.state["db"], 6)
    assert await kinds_after(ana, ana.inbox_id, 6) == []
    assert (await ana.get(f"/lists/{ana.inbox_id}/events?after={epoch}:5")).status_code == 410


async def _trim(database: Database, revision: int) -> None:
    async with database.transaction() as tx:
        await tx.execute(update(streams).values(trimmed=revision))
        await tx.execute(events.delete().where(events.c.revision <= revision))


async def test_a_stranger_gets_the_answer_of_an_unknown_id(ana: Person, bob: Person) -> None:
    todo = await ana.todo()
    epoch = await folding.epoch_of(ana)
    for path in ("/lists/{}/events", f"/lists/{{}}/events?after={epoch}:99", "/todos/{}/history"):
        mine = todo["id"] if path.startswith("/todos") else ana.inbox_id
        answers = [await bob.get(path.format(id_)) for id_ in (mine, SOME_ID)]
        bodies = [answer.json()["error"] | {"request_id": None} for answer in answers]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert bodies[0] == bodies[1]


async def test_a_token_needs_to_be_allowed_to_read_todos(ana: Person) -> None:
    todo = await ana.todo()
    for scope, status in (("lists:read", 403), ("todos:read", 200)):
        token = (await ana.post("/users/me/tokens", {"name": scope, "scopes": [scope]})).json()["token"]
        for path in (f"/lists/{ana.inbox_id}/events", f"/todos/{todo['id']}/history"):
            answer = await ana.get(path, headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == status, path


async def test_the_history_of_a_todo_is_its_events_newest_first_in_pages(ana: Person) -> None:
    todo = await ana.todo()
    await ana.todo("another")
    for n in range(5):
        await ana.patch(f"/todos/{todo['id']}", {"title": f"{n}"})
    await ana.delete(f"/todos/{todo['id']}")
    told = [event for event in (await log_of(ana, ana.inbox_id))["events"] if todo["id"] in str(event["data"])]
    path = f"/todos/{todo['id']}/history"
    page = (await ana.get(path)).json()
    assert page == {"items": told[::-1], "page": 1, "size": 20, "total": 7, "next_cursor": None}
    items, cursor = [], ""
    while cursor is not None:
        part = (await ana.get(f"{path}?size=3{cursor and f'&cursor={cursor}'}")).json()
        items += part["items"]
        cursor = part["next_cursor"]
    assert items == told[::-1]
    assert (await ana.get(f"{path}?cursor=x")).json()["error"]["code"] == "INVALID_CURSOR"


async def test_nothing_is_left_in_the_log_of_who_deletes_his_account(
    ana: Person, bob: Person, running: asgi.Running
) -> None:
    await ana.todo()
    await ana.list()
    await bob.todo()
    answer = await ana.request("DELETE", "/users/me", json={"current_password": PASSWORD})
    assert answer.status_code == 204
    await work(running)
    left = await running.state["db"].reads.all(ALL)
    assert {str(row.stream_id) for row in left} == {bob.inbox_id, bob.user["id"]}
    count = query(scalar, select(func.count().label("count")).where(streams.c.id != endings.STREAM))
    assert await running.state["db"].reads.one(count) == 2
