"""POST /sync: copies catch up, in pages, whatever is written meanwhile."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import delete, update

from doable.core import failpoints
from doable.core.db import Database
from doable.core.events import events
from doable.core.streams import streams
from doable.sync import deltas
from tests.support import asgi, memberships, phones
from tests.support.people import Person
from tests.support.phones import Phone


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers of few items, so that few todos make many pages."""
    monkeypatch.setattr(deltas, "MOST_ITEMS", 3)


async def assert_same(phone: Phone) -> None:
    seen = await phones.truth(phone.person)
    assert phone.todos == seen.todos
    assert {list_id: copy.home for list_id, copy in phone.lists.items()} == {
        list_id: copy.home for list_id, copy in seen.lists.items()
    }
    assert phone.revisions.keys() == seen.lists.keys()


def modes(came: list[dict[str, Any]]) -> list[str]:
    return [delta["mode"] for delta in came]


async def test_the_first_call_brings_every_list_whole_and_the_next_one_nothing(ana: Person) -> None:
    home = await ana.list("Home")
    await ana.patch(f"/lists/{home['id']}", {"archived": True})
    await ana.todo("one")
    await ana.todo("two", list_id=home["id"])
    gone = await ana.todo("three", list_id=home["id"])
    await ana.delete(f"/todos/{gone['id']}")
    phone = Phone(ana)
    came = await phone.sync()
    assert modes(came) == ["snapshot", "snapshot"]
    assert all(delta["first"] and delta["last"] for delta in came)
    assert [member["user"]["username"] for delta in came for member in delta["members"]] == ["ana", "ana"]
    await assert_same(phone)
    assert await phone.sync() == []


async def test_later_calls_bring_only_what_has_happened_since(ana: Person) -> None:
    home = await ana.list()
    milk = await ana.todo("milk", list_id=home["id"])
    phone = Phone(ana)
    await phone.sync()
    await ana.patch(f"/todos/{milk['id']}", {"title": "oat milk"})
    await ana.delete(f"/todos/{milk['id']}")
    await ana.patch(f"/lists/{home['id']}", {"name": "Food"})
    (delta,) = await phone.sync()
    assert [event["kind"] for event in delta["events"]] == ["todo.updated", "todo.deleted", "list.updated"]
    assert (delta["mode"], delta["list_id"]) == ("events", home["id"])
    await assert_same(phone)


async def test_lists_come_and_go(ana: Person) -> None:
    phone = Phone(ana)
    home = await ana.list()
    await phone.sync()
    await ana.delete(f"/lists/{home['id']}")
    other = await ana.list("Other")
    came = await phone.sync()
    assert {delta["list_id"]: delta["mode"] for delta in came} == {home["id"]: "gone", other["id"]: "snapshot"}
    await ana.put(f"/lists/{home['id']}/restoration")
    assert modes(await phone.sync()) == ["snapshot"]
    await assert_same(phone)


async def test_a_list_that_is_strange_is_gone_as_one_that_never_was(ana: Person, bob: Person) -> None:
    strange, unknown = (await bob.list())["id"], str(uuid4())
    phone = Phone(ana)
    await phone.sync()
    phone.revisions |= {strange: 1, unknown: 1}
    came = await phone.sync()
    assert sorted(came, key=str) == sorted(({"list_id": x, "mode": "gone"} for x in (strange, unknown)), key=str)


@pytest.mark.usefixtures("small")
async def test_a_large_list_comes_in_pages_and_the_position_is_where_it_began(ana: Person) -> None:
    home = await ana.list()
    for n in range(8):
        await ana.todo(f"todo {n}", list_id=home["id"])
    phone = Phone(ana)
    came = await phone.sync()
    pages = [delta for delta in came if delta["list_id"] == home["id"]]
    assert len(pages) >= 3
    assert [page["first"] for page in pages] == [True] + [False] * (len(pages) - 1)
    assert [page["last"] for page in pages] == [False] * (len(pages) - 1) + [True]
    assert all(len(page["todos"]) <= 3 for page in pages)
    assert {page["revision"] for page in pages} == {2 + 8}
    await assert_same(phone)


@pytest.mark.usefixtures("small")
async def test_events_come_in_pages_too(ana: Person) -> None:
    phone = Phone(ana)
    await phone.sync()
    for n in range(8):
        await ana.todo(f"todo {n}")
    came = await phone.sync()
    assert [len(delta["events"]) for delta in came] == [3, 3, 2]
    await assert_same(phone)


@pytest.mark.usefixtures("small")
async def test_what_is_written_between_two_pages_is_neither_lost_nor_doubled(ana: Person) -> None:
    home = await ana.list()
    todos = [await ana.todo(f"todo {n}", list_id=home["id"]) for n in range(9)]
    phone = Phone(ana)
    cursor, calls = None, 0
    while calls == 0 or cursor is not None:
        body = {"epoch": phone.epoch, "revisions": phone.revisions, "continue": cursor}
        answer = (await ana.post("/sync", body)).json()
        phone.epoch, cursor = answer["epoch"], answer["continue"]
        for delta in answer["deltas"]:
            phone.apply(delta)
        if calls < len(todos):
            await ana.patch(f"/todos/{todos[calls]['id']}", {"title": f"changed {calls}"})
            await ana.delete(f"/todos/{todos[-1 - calls]['id']}")
            new_id = f"ff{str(uuid4())[2:]}"  # after all that have been read
            await ana.put(f"/todos/{new_id}", {"title": f"new {calls}", "list_id": home["id"]})
        calls += 1
    assert calls >= 4
    await phone.sync()
    await assert_same(phone)


async def test_a_write_after_the_positions_were_read_comes_with_the_next_call(
    ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = Phone(ana)
    await phone.sync()
    await ana.todo("before")
    real = failpoints.reach
    titles = iter(["meanwhile"])

    async def write(name: str) -> None:
        await real(name)
        if name == "sync.positions_read" and (title := next(titles, None)):
            await ana.todo(title)

    monkeypatch.setattr(failpoints, "reach", write)
    first, second = await phone.sync(), await phone.sync()
    assert [event["data"]["todo"]["title"] for delta in first for event in delta["events"]] == ["before"]
    assert [event["data"]["todo"]["title"] for delta in second for event in delta["events"]] == ["meanwhile"]
    await assert_same(phone)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("pages", [None, 1, 2])
async def test_after_another_epoch_everything_comes_again_even_after_a_break(ana: Person, pages: int | None) -> None:
    for n in range(4):
        home = await ana.list(f"List {n}")
        await ana.todo("todo", list_id=home["id"])
    phone = Phone(ana)
    await phone.sync()
    # The server's history is another one now: the same revisions, and a todo of the copies is not in it.
    phone.epoch = "0therep0ch"
    lost = next(reversed(phone.todos.values()))
    ghost = str(uuid4())
    phone.todos[ghost] = {**lost, "id": ghost, "list_id": max(phone.lists)}
    came = [] if pages is None else await phone.sync(pages)
    came += await phone.sync()
    assert set(modes(came)) == {"snapshot"}
    assert {delta["list_id"] for delta in came} == set(phone.revisions)
    await assert_same(phone)


async def test_a_position_ahead_of_the_list_or_behind_the_log_gets_a_snapshot(
    ana: Person, running: asgi.Running
) -> None:
    phone = Phone(ana)
    await phone.sync()
    phone.revisions[ana.inbox_id] += 5
    assert modes(await phone.sync()) == ["snapshot"]
    at = phone.revisions[ana.inbox_id]
    await ana.todo("one")
    await ana.todo("two")
    database: Database = running.state["db"]
    async with database.transaction() as tx:
        await tx.execute(update(streams).values(trimmed=at + 1))
        await tx.execute(delete(events).where(events.c.revision <= at + 1))
    assert modes(await phone.sync()) == ["snapshot"]
    await assert_same(phone)


async def test_an_answer_is_bounded_in_bytes_whatever_it_is_made_of(
    ana: Person, running: asgi.Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 9_000
    monkeypatch.setattr(deltas, "MOST_BYTES", most)
    homes = [await ana.list("L" * 100) for _ in range(3)]
    for n, home in enumerate(homes):
        for m in range(6 * n):
            await ana.todo(f"todo {m}", description="x" * 900, list_id=home["id"])
        await memberships.crowd(running, home["id"], 20)
    phone = Phone(ana)
    sizes: list[int] = []
    await phone.sync(sizes=sizes)
    await assert_same(phone)
    await ana.patch(f"/lists/{homes[0]['id']}", {"name": "y"})
    for n in range(12):
        await ana.todo(f"late {n}", description="y" * 900)
        await ana.todo(f"late {n}", description="y" * 900, list_id=homes[0]["id"])
    phone.revisions |= {str(uuid4()): 1 for _ in range(150)}
    await phone.sync(sizes=sizes)
    await assert_same(phone)
    assert max(sizes) <= most
    assert len(sizes) < 2 * sum(sizes) / most, "answers are not filled"


@pytest.mark.parametrize("todos", [0, 3])
async def test_a_list_whose_members_fill_an_answer_arrives_all_the_same(
    ana: Person, running: asgi.Running, monkeypatch: pytest.MonkeyPatch, todos: int
) -> None:
    monkeypatch.setattr(deltas, "MOST_BYTES", 1_500)
    home = await ana.list()
    for n in range(todos):
        await ana.todo(f"todo {n}", list_id=home["id"])
    await memberships.crowd(running, home["id"], 20)
    phone = Phone(ana)
    await phone.sync()
    await assert_same(phone)
    assert len(phone.lists[home["id"]].members) == 21


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"continue": "nonsense"}, "INVALID_CURSOR"),
        ({"revisions": {"x": 1}}, "VALIDATION_ERROR"),
        ({"revisions": {str(uuid4()): -1}}, "VALIDATION_ERROR"),
        ({"revisions": None}, "VALIDATION_ERROR"),
        ({"cursor": None}, "VALIDATION_ERROR"),
    ],
)
async def test_what_makes_no_sense_is_refused(ana: Person, body: dict[str, object], code: str) -> None:
    answer = await ana.post("/sync", body)
    assert answer.json()["error"]["code"] == code


async def test_a_token_needs_the_scope_to_read_todos(ana: Person) -> None:
    for scope, status in (("todos:read", 200), ("lists:read", 403)):
        token = (await ana.post("/users/me/tokens", {"name": scope, "scopes": [scope]})).json()["token"]
        answer = await ana.post("/sync", {}, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status
