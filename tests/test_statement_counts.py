"""How many statements each route runs: a number in a table, so that a loop around a query cannot slip in."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from doable.core.db import Database
from doable.core.executors.postgres.native import Postgres
from tests.support import asgi, world
from tests.support.accounts import Mailbox, asks_who
from tests.support.people import API, PASSWORD, Person
from tests.support.phones import Phone
from tests.support.rooms import Served
from tests.support.sharing import invite, join
from tests.test_authorisation import TABLE

SERVICES = {"watcher", "endings", "epoch", "connections.verify", "worker", "jobs inherited", "jobs counted"}
"""Tasks whose statements no request has asked for."""
READS = 3
"""At most, in page mode."""
# What each write may run: reading with access, the stream, the row, the event.
WRITES = {
    ("POST", "/todos"): 4,
    ("PUT", "/todos/{new_id}"): 5,  # it looks first
    ("PATCH", "/todos/{todo_id}"): 4,
    ("PUT", "/todos/{todo_id}/completion"): 4,
    ("PUT", "/todos/{daily_id}/completion"): 5,  # and the occurrence
    ("DELETE", "/todos/{done_id}/completion"): 6,  # and the occurrence
    ("DELETE", "/todos/{todo_id}/completion"): 4,
    ("DELETE", "/todos/{todo_id}"): 4,
    # Both read again what they have read, with the list locked, and look around there.
    ("PUT", "/todos/{todo_id}/position"): 7,
    ("PUT", "/todos/{todo_id}/restoration"): 8,
    ("DELETE", "/trash/{todo_id}"): 8,  # it also empties what the log has said
    # The list and its lock, the list again, the operation, its todo and what is below; the deletion; the event, read.
    ("POST", "/lists/{list_id}/events/4/undo"): 11,
    ("POST", "/batch"): 6,  # which lists may be written, their locks, and what the one operation takes alone
    # Its owner, the limit, his stream, the list, its stream, the member, both streams' events; his webhooks.
    ("POST", "/lists"): 9,
    ("PATCH", "/lists/{list_id}"): 4,
    ("DELETE", "/lists/{list_id}"): 4,
    ("PUT", "/lists/{list_id}/restoration"): 4,
    # Reading with access, both streams locked, reading again, the row, both streams raised, their events.
    ("PATCH", "/lists/{list_id}/members/{bob_id}"): 6,
    ("DELETE", "/lists/{list_id}/members/{bob_id}"): 9,  # his reminders, the todos given to him, invitations
    # Two reads; his account, locked, and his limit; three streams, locked; three reads; the list, two members; the
    # streams raised by three and by one, the events.
    ("PUT", "/lists/{list_id}/owner"): 14,
    ("DELETE", "/lists/{list_id}/invitations/{invitation_id}"): 4,
    # Reading it and the list, the account and both streams locked, reading again, the answer, the member, both
    # streams raised, their events, his webhooks, the list.
    ("POST", "/invitations/acceptance"): 12,
    ("POST", "/invitations/refusal"): 2,
    # His account, locked, how many imports are under way, the import; each part; the import again, its job.
    ("POST", "/import"): 6,
    # Access, the stream locked and followed by a job, access; their number, it, its job.
    ("POST", "/todos/{todo_id}/reminders"): 8,
    ("DELETE", "/todos/{reminded_id}/reminders/{reminder_id}"): 2,
    ("PUT", "/users/me/digest"): 3,  # the account, locked, its zone, the digest
    ("PATCH", "/webhooks/{webhook_id}"): 3,
    ("DELETE", "/webhooks/{webhook_id}"): 2,
    ("POST", "/webhooks/{webhook_id}/ping"): 3,  # access, the delivery, its job
    ("POST", "/webhooks/{webhook_id}/deliveries/{delivery_id}/retry"): 4,
}
KEY = 2
"""More with an idempotency key: its claim comes first, the answer last."""
SUBTASKS = 3
"""More when a todo takes others along: reading them, writing them, raising the stream by their number."""
TRASHED = {("PUT", "/todos/{todo_id}/restoration"), ("DELETE", "/trash/{todo_id}")}
ACCOUNTS = {
    "POST /users": 11,
    "POST /auth/login": 11,
    "POST /auth/refresh": 2,
    "POST /auth/logout": 3,
    "POST /auth/verify-email": 9,
    "POST /users/me/tokens": 4,
    "DELETE /users/me/tokens/{token_id}": 5,
    "DELETE /auth/sessions/{session_id}": 5,
    "DELETE /auth/sessions": 3,
    "PATCH /users/me": 3,
    "PUT /users/me/password": 11,
    "POST /auth/password-reset": 4,
    "POST /auth/password-reset/confirm": 14,
    "GET /users": 1,
    "PATCH /users/{user_id}": 9,
    "DELETE /users/me": 33,  # all that he leaves behind
}
"""What is done with passwords and secrets, in short transactions one after the other."""
AT_ONCE = {("POST", "/todos"): 0, ("PUT", "/todos/{new_id}"): 1}
"""In a list that nobody follows, the last three are one for PostgreSQL, and a key's claim with its answer is in it.

By how many statements come before it.
"""
LOOK = 1
"""Less where the person has written in the list before."""
APART = (
    "POST /auth/ticket", "POST /lists/{list_id}/invitations", "POST /webhooks", "POST /webhooks/{webhook_id}/secret",
    "POST /sync",
    "GET /export", "GET /lists/{list_id}/events/stream",  # as many pages as there are
)  # fmt: skip
"""Counted by tests of their own, or without an end."""
READING = (
    "/todos", "/todos?list_id={list_id}", "/todos?completed=false&priority=1,2&sort=-title", "/todos/{todo_id}",
    "/lists", "/lists?archived=true", "/lists/{list_id}", "/users/me", "/auth/sessions", "/users/me/tokens",
    "/todos?parent_id=none", "/todos?parent_id={todo_id}", "/trash", "/todos/{todo_id}/history",
    "/todos/{daily_id}/occurrences", "/todos?due_after=2026-11-22&sort=-due",
    "/todos/{reminded_id}/reminders", "/webhooks", "/webhooks/{webhook_id}", "/webhooks/{webhook_id}/deliveries",
    "/lists/{list_id}/events", "/lists/{list_id}/members", "/lists/{list_id}/invitations", "/invitations",
    "/imports/{import_id}",
    "/todos?q=todo%201", "/todos?list_id={list_id}&q=todo&label=a,b&assignee=me&completed=false",
    "/labels", "/labels?list_id={list_id}", "/users/me/digest",
)  # fmt: skip
BODIES: dict[tuple[str, str], dict[str, object]] = {
    ("POST", "/todos"): {"title": "x"},
    ("PUT", "/todos/{new_id}"): {"title": "x"},
    ("PATCH", "/todos/{todo_id}"): {"title": "y", "priority": 1, "completed": True, "labels": ["a", "b"]},
    ("PUT", "/todos/{daily_id}/completion"): {"occurrence": "2090-11-27"},
    ("PUT", "/todos/{todo_id}/position"): {},
    ("POST", "/batch"): {"operations": [{"op": "todo.create", "data": {"title": "x", "parent_id": None}}]},
    ("PATCH", "/webhooks/{webhook_id}"): {"kinds": None},
    ("PUT", "/users/me/digest"): {"at": "08:00"},
    ("POST", "/todos/{todo_id}/reminders"): {"at": "2090-11-27T08:00:00Z"},
    ("POST", "/lists"): {"name": "x"},
    ("PATCH", "/lists/{list_id}/members/{bob_id}"): {"role": "viewer"},
    ("PUT", "/lists/{list_id}/owner"): {"user_id": "{bob_id}"},
    ("POST", "/invitations/acceptance"): {"token": "{token}"},
    ("POST", "/invitations/refusal"): {"token": "{token}"},
    ("POST", "/import"): {"format": "doable", "version": 1, "lists": [{"id": str(uuid4()), "name": "x"}]},
    ("PATCH", "/lists/{list_id}"): {"name": "y", "color": "#123456", "archived": True},
}


@contextmanager
def counted(running: asgi.Running | Served) -> Iterator[list[str]]:
    """The statements that are run meanwhile, but for who is behind the credential, which is asked now and then."""
    seen: list[str] = []

    def see(statement: str) -> None:
        task = asyncio.current_task()
        of_a_service = task is not None and task.get_name() in SERVICES
        apart = statement.startswith(("BEGIN", "COMMIT", "ROLLBACK")) or asks_who(statement)
        if not of_a_service and not apart:
            seen.append(statement)

    database: Database = running.state["db"]
    database.watchers.append(see)
    yield seen
    database.watchers.remove(see)


def _expected(running: asgi.Running, method: str, path: str, key: str | None) -> int:
    if (method, path) in AT_ONCE:
        return WRITES[method, path] - LOOK - _spared(running, key)
    return WRITES[method, path] + (KEY if key else 0)


def _spared(running: asgi.Running, key: str | None = None) -> int:
    if isinstance(running.state["db"].executor, Postgres):
        return 2
    return -1 if key else 0


async def _world(ana: Person, bob: Person, size: int) -> dict[str, Any]:
    home = await ana.list()
    await join(ana, bob, home["id"])
    invitations = [await invite(ana, f"{n}@example.com", home["id"]) for n in range(size)]
    to_me = await invite(bob, ana.user["email"], (await bob.list())["id"])
    todos = [await ana.todo(f"todo {n}", list_id=home["id"]) for n in range(size)]
    await ana.post("/users/me/tokens", {"name": "t", "scopes": ["todos:read"]})
    due = {"date": "2090-11-27"}
    daily = await ana.todo(due=due, recurrence={"rule": "FREQ=DAILY"})
    done = await ana.todo(due=due, recurrence={"rule": "FREQ=DAILY;COUNT=1"})
    await ana.put(f"/todos/{done['id']}/completion", {"occurrence": "2090-11-27"})
    imported = await ana.post("/import", {"format": "doable", "version": 1})
    todo_ids = {"todo_id": todos[0]["id"], "daily_id": daily["id"], "done_id": done["id"], "new_id": uuid4()}
    lists_ids = {"list_id": home["id"], "invitation_id": invitations[0]["id"], "token": to_me["token"]}
    lists_ids["import_id"] = imported.json()["id"]
    return {
        "bob_id": bob.user["id"],
        **todo_ids,
        **lists_ids,
        **await _webhooks(ana, size),
        **await _reminders(ana, size),
    }


async def _reminders(ana: Person, size: int) -> dict[str, str]:
    """In a list of their own, since it is followed then."""
    todo = await ana.todo(list_id=(await ana.list())["id"])
    path = f"/todos/{todo['id']}/reminders"
    made = [await ana.post(path, {"at": "2090-11-27T08:00:00Z"}) for _ in range(size)]
    return {"reminded_id": todo["id"], "reminder_id": made[0].json()["id"]}


async def _webhooks(ana: Person, size: int) -> dict[str, str]:
    """In a list of their own: a webhook makes each write dearer by one statement."""
    home = (await ana.list())["id"]
    hooks = [
        await ana.post("/webhooks", {"url": "https://example.com/", "list_id": home, "kinds": ["todo.created"]})
        for _ in range(size)
    ]
    webhook_id = hooks[0].json()["id"]
    pings = [await ana.post(f"/webhooks/{webhook_id}/ping") for _ in range(size)]
    return {"webhook_id": webhook_id, "delivery_id": pings[0].json()["id"]}


async def test_a_read_runs_few_statements_however_much_there_is(
    running: asgi.Running, ana: Person, bob: Person
) -> None:
    few, many = [await _counts(running, ana, await _world(ana, bob, size)) for size in (1, 12)]
    assert few == many, "the number depends on the data"
    assert {path: count for path, count in few.items() if count > READS} == {}


async def _counts(running: asgi.Running, person: Person, world: dict[str, Any]) -> dict[str, int]:
    counts = {}
    for path in READING:
        with counted(running) as seen:
            answer = await person.get(path.format(**world))
        assert answer.status_code == 200, answer.text
        counts[path] = len(seen)
    return counts


@pytest.mark.parametrize("key", [None, "a key"])
@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_a_write_runs_the_statements_it_is_meant_to(
    running: asgi.Running, ana: Person, bob: Person, method: str, path: str, key: str | None
) -> None:
    world = await _world(ana, bob, 3)
    there = path.format(**world)
    sent = BODIES.get((method, path))
    body = sent and {name: value.format(**world) if isinstance(value, str) else value for name, value in sent.items()}
    if (method, path) == ("PUT", "/lists/{list_id}/restoration"):
        await ana.delete(there.removesuffix("/restoration"))
    if (method, path) in TRASHED:
        await ana.delete(there.removesuffix("/restoration").replace("trash", "todos"))
    if (method, path) == ("DELETE", "/todos/{todo_id}/completion"):
        await ana.put(there)
    headers = {} if key is None else {"Idempotency-Key": key}
    with counted(running) as seen:
        answer = await ana.request(method, there, json=body, headers=headers)
    assert answer.is_success, answer.text
    assert len(seen) == _expected(running, method, path, key), seen
    if key is not None and path != "/import":  # which has received its file before
        first, last = AT_ONCE.get((method, path), 0), len(seen) - 1
        written = [number for number, statement in enumerate(seen) if "idempotency" in statement]
        assert written == ([first] if (method, path) in AT_ONCE else [0, last])
        attempt = 0 if (method, path) not in AT_ONCE else first or len(seen)  # it is there already, or tried again
        with counted(running) as seen:
            await ana.request(method, there, json=body, headers=headers)
        assert len(seen) == attempt + KEY, seen


async def test_what_accounts_do_runs_the_statements_it_is_meant_to(  # noqa: PLR0915 — one life
    running: asgi.Running, client: httpx2.AsyncClient, ana: Person, mailbox: Mailbox
) -> None:
    cost: dict[str, int] = {}

    async def ask(person: Person | None, name: str, body: object = None, **ids: str) -> Any:
        method, path = name.split()
        headers = {} if person is None else person.headers
        with counted(running) as seen:
            answer = await client.request(method, API + path.format(**ids), json=body, headers=headers)
        assert answer.is_success, answer.text
        cost[name] = len(seen)
        return answer.json() if answer.content else None

    admin = await world.administrator(client, running)
    address, new = ana.user["email"], {"password": "seven boats at sea", "confirm_password": "seven boats at sea"}
    cid = {"email": "cid@example.com", "username": "cid", "password": PASSWORD, "confirm_password": PASSWORD}
    await ask(None, "POST /users", cid)
    pair = await ask(None, "POST /auth/login", {"login": "ana", "password": PASSWORD})
    pair = await ask(None, "POST /auth/refresh", {"refresh_token": pair["refresh_token"]})
    await ask(None, "POST /auth/logout", {"refresh_token": pair["refresh_token"]})
    await ask(None, "POST /auth/verify-email", {"token": await mailbox.token(address, "Confirm")})
    made = await ask(ana, "POST /users/me/tokens", {"name": "x", "scopes": ["account"]})
    await ask(ana, "DELETE /users/me/tokens/{token_id}", token_id=made["id"])
    other = Person(client, ana.user, ana.tokens)
    await other.log_in()
    sessions = (await other.get("/auth/sessions")).json()["items"]
    await ask(
        ana, "DELETE /auth/sessions/{session_id}", session_id=next(one["id"] for one in sessions if one["current"])
    )
    await ask(ana, "DELETE /auth/sessions")
    await ask(ana, "PATCH /users/me", {"timezone": "UTC"})
    await ask(ana, "PUT /users/me/password", {"current_password": PASSWORD, **new})
    await ask(None, "POST /auth/password-reset", {"email": address})
    await ask(None, "POST /auth/password-reset/confirm", {"token": await mailbox.token(address, "new password"), **new})
    await ask(admin, "GET /users")
    await ask(admin, "PATCH /users/{user_id}", {"is_admin": True}, user_id=ana.user["id"])
    await ask(admin, "PATCH /users/{user_id}", {"is_admin": False}, user_id=ana.user["id"])
    login = await client.post(f"{API}/auth/login", json={"login": "ana", "password": new["password"]})
    ana.tokens = login.json()
    await ask(ana, "DELETE /users/me", {"current_password": new["password"]})
    assert cost == ACCOUNTS


def test_every_operation_is_counted() -> None:
    """By what this file measures, or by a test of its own."""

    def shape(name: str) -> str:
        return re.sub(r"{\w+}|(?<=/events/)4(?=/)", "{}", name.partition("?")[0])

    here = {*(f"GET {path}" for path in READING), *(f"{method} {path}" for method, path in WRITES), *ACCOUNTS, *APART}
    assert {shape(name) for name in here} == {shape(name) for name in TABLE}


async def test_a_ticket_costs_its_row_and_the_locks_of_who_asks(running: asgi.Running, ana: Person) -> None:
    with counted(running) as seen:
        assert (await ana.post("/auth/ticket")).status_code == 201
    assert len(seen) == 3


async def test_a_change_that_is_no_more_than_that_is_written_at_once(running: asgi.Running, ana: Person) -> None:
    todo = await ana.todo()
    with counted(running) as seen:
        assert (await ana.patch(f"/todos/{todo['id']}", {"title": "y"})).is_success
    assert len(seen) == 4 - _spared(running), seen


async def test_who_has_written_in_a_list_does_not_look_again(running: asgi.Running, ana: Person, bob: Person) -> None:
    home = (await ana.list())["id"]
    await join(ana, bob, home)
    for person in (ana, bob):
        for look in (LOOK, 0, 0):
            with counted(running) as seen:
                await person.todo(list_id=home)
            assert len(seen) == 3 - _spared(running) + look, seen
    await ana.patch(f"/lists/{home}", {"name": "y"})
    with counted(running) as seen:
        await bob.todo(list_id=home)
    assert len(seen) == 3 - _spared(running), "what this process has made of the list it knows"
    taken = (await ana.todo())["id"]
    assert (await bob.post("/todos", {"id": taken, "title": "x", "list_id": home})).status_code == 409
    with counted(running) as seen:
        await ana.todo(list_id=home)
    assert len(seen) == 3 - _spared(running), "who asks for what is taken costs nobody else a look"


async def test_an_invitation_runs_as_many_statements_whoever_it_is_for(
    running: asgi.Running, ana: Person, bob: Person, mailbox: Mailbox
) -> None:
    home = (await _world(ana, bob, 1))["list_id"]
    token = await mailbox.token(bob.user["email"], "Confirm")
    assert (await bob.client.post(f"{API}/auth/verify-email", json={"token": token})).is_success
    work = []
    for email in ("new@example.com", bob.user["email"]):
        with counted(running) as seen:
            await invite(ana, email, home)
        work.append([statement for statement in seen if not statement.startswith("INSERT INTO events")])
        assert len(seen) - len(work[-1]) == (email == bob.user["email"])  # the one thing that only a reader gets
    # Before a mail is counted: access, one that is open. Then access, the address, two streams locked, access, those
    # that have expired, one that is open, places; it, the reader's stream raised, it again; its mail.
    assert work[0] == work[1]
    assert len(work[0]) == 2 + 11


async def test_a_new_secret_of_a_webhook_costs_its_row_and_access_twice(running: asgi.Running, ana: Person) -> None:
    hook = (await ana.post("/webhooks", {"url": "https://example.com/"})).json()
    with counted(running) as seen:
        assert (await ana.post(f"/webhooks/{hook['id']}/secret")).is_success
    assert len(seen) == 3, seen


async def test_a_webhook_costs_the_writes_to_its_list_one_statement_and_others_none(
    running: asgi.Running, ana: Person
) -> None:
    home, other = [(await ana.list())["id"] for _ in range(2)]
    with counted(running) as seen:
        made = await ana.post("/webhooks", {"url": "https://example.com/", "list_id": home})
    assert made.status_code == 201, made.text
    # Access, the account and the stream locked, access; the stream followed from here, by a job; their number, it.
    assert len(seen) == 8, seen
    for _ in range(3):
        await ana.post("/webhooks", {"url": "https://example.com/", "list_id": home})
    for list_id, more in ((home, 1), (other, 0)):
        with counted(running) as seen:
            await ana.todo(list_id=list_id)
        assert len(seen) == WRITES["POST", "/todos"] + (more or -_spared(running)), seen


async def test_a_sync_asks_once_for_all_lists_and_once_more_for_each_that_has_changed(
    running: asgi.Running, ana: Person
) -> None:
    phone = Phone(ana)
    await phone.sync()
    for changed in range(3):
        homes = [await ana.list() for _ in range(changed)]
        await phone.sync()
        for home in homes:
            await ana.todo(list_id=home["id"])
        with counted(running) as seen:
            await phone.sync()
        assert len(seen) == 1 + changed


@pytest.mark.parametrize("count", [1, 20])
@pytest.mark.parametrize(("method", "path"), [("PUT", "/todos/{todo_id}/completion"), ("DELETE", "/todos/{todo_id}")])
async def test_a_todo_takes_others_along_at_one_price(
    running: asgi.Running, ana: Person, bob: Person, method: str, path: str, count: int
) -> None:
    there = path.format(**(world := await _world(ana, bob, 1)))
    with counted(running) as seen:
        await ana.todo(parent_id=world["todo_id"])
    assert len(seen) == WRITES["POST", "/todos"] + 1, "the place in the tree"
    for _ in range(count - 1):
        await ana.todo(parent_id=world["todo_id"])
    with counted(running) as seen:
        assert (await ana.request(method, there)).is_success
    assert len(seen) == WRITES[method, path] + SUBTASKS, seen


async def test_a_move_to_another_list_has_a_price_that_does_not_depend_on_what_goes_along(
    running: asgi.Running, ana: Person
) -> None:
    todo = await ana.todo()
    for _ in range(12):
        await ana.todo(parent_id=todo["id"])
    target = (await ana.list())["id"]
    with counted(running) as seen:
        assert (await ana.put(f"/todos/{todo['id']}/position", {"list_id": target})).is_success
    # The other list twice, what goes along, what stays in the trash, and an update for each shape of change.
    assert len(seen) == WRITES["PUT", "/todos/{todo_id}/position"] + 4, seen


async def test_a_read_of_what_is_known_stops_where_it_is_known(running: asgi.Running, ana: Person, bob: Person) -> None:
    there = "/todos?list_id={list_id}".format(**await _world(ana, bob, 3))
    etag = (await ana.get(there)).headers["etag"]
    with counted(running) as seen:
        assert (await ana.get(there, headers={"If-None-Match": etag})).status_code == 304
    assert len(seen) == 1
