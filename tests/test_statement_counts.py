"""How many statements each route runs: a number in a table, so that a loop around a query cannot slip in."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from doable.core.db import Database
from tests.support import asgi
from tests.support.people import Person, register
from tests.support.phones import Phone

READS = 3
"""At most, in page mode; the credential's own SELECT comes on top."""
CREDENTIAL = 1
# What each write may run beside its credential: reading with access, the stream, the row, the event.
WRITES = {
    ("POST", "/todos"): 4,
    ("PUT", "/todos/{new_id}"): 4,
    ("PATCH", "/todos/{todo_id}"): 4,
    ("PUT", "/todos/{todo_id}/completion"): 4,
    ("DELETE", "/todos/{todo_id}/completion"): 4,
    ("DELETE", "/todos/{todo_id}"): 4,
    ("POST", "/lists"): 6,  # its owner, locked, the limit, the list, the membership, the stream, its two events
    ("PATCH", "/lists/{list_id}"): 4,
    ("DELETE", "/lists/{list_id}"): 4,
    ("PUT", "/lists/{list_id}/restoration"): 4,
}
KEY = 2
"""More with an idempotency key: its claim comes first, the answer last."""
BODIES: dict[tuple[str, str], dict[str, object]] = {
    ("POST", "/todos"): {"title": "x"},
    ("PUT", "/todos/{new_id}"): {"title": "x"},
    ("PATCH", "/todos/{todo_id}"): {"title": "y", "priority": 1, "completed": True},
    ("POST", "/lists"): {"name": "x"},
    ("PATCH", "/lists/{list_id}"): {"name": "y", "color": "#123456", "archived": True},
}


@contextmanager
def counted(running: asgi.Running) -> Iterator[list[str]]:
    """The statements that are run meanwhile."""
    seen: list[str] = []

    def see(statement: str) -> None:
        if not statement.startswith(("BEGIN", "COMMIT", "ROLLBACK")):
            seen.append(statement)

    database: Database = running.state["db"]
    database.watchers.append(see)
    yield seen
    database.watchers.remove(see)


@pytest.fixture
async def ana(client: httpx2.AsyncClient) -> Person:
    return await register(client, "ana")


async def _world(ana: Person, size: int) -> dict[str, Any]:
    home = await ana.list()
    todos = [await ana.todo(f"todo {n}", list_id=home["id"]) for n in range(size)]
    await ana.post("/users/me/tokens", {"name": "t", "scopes": ["todos:read"]})
    return {"list_id": home["id"], "todo_id": todos[0]["id"], "new_id": uuid4()}


@pytest.mark.parametrize(
    "path",
    [
        "/todos", "/todos?list_id={list_id}", "/todos?completed=false&priority=1,2&sort=-title", "/todos/{todo_id}",
        "/lists", "/lists?archived=true", "/lists/{list_id}", "/users/me", "/auth/sessions", "/users/me/tokens",
        "/todos/{todo_id}/history", "/lists/{list_id}/events",
    ],
)  # fmt: skip
async def test_a_read_runs_few_statements_however_much_there_is(running: asgi.Running, ana: Person, path: str) -> None:
    counts = set()
    for size in (1, 12):
        there = path.format(**await _world(ana, size))
        with counted(running) as seen:
            answer = await ana.get(there)
        assert answer.status_code == 200, answer.text
        counts.add(len(seen))
    assert len(counts) == 1, "the number depends on the data"
    assert counts.pop() <= CREDENTIAL + READS


@pytest.mark.parametrize("key", [None, "a key"])
@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_a_write_runs_the_statements_it_is_meant_to(
    running: asgi.Running, ana: Person, method: str, path: str, key: str | None
) -> None:
    there = path.format(**await _world(ana, 3))
    if path.endswith("restoration"):
        await ana.delete(there.removesuffix("/restoration"))
    if (method, path) == ("DELETE", "/todos/{todo_id}/completion"):
        await ana.put(there)
    headers = {} if key is None else {"Idempotency-Key": key}
    with counted(running) as seen:
        answer = await ana.request(method, there, json=BODIES.get((method, path)), headers=headers)
    assert answer.is_success, answer.text
    assert len(seen) == CREDENTIAL + WRITES[method, path] + (KEY if key else 0), seen
    if key is not None:
        assert ("idempotency" in seen[1], "idempotency" in seen[-1]) == (True, True)
        with counted(running) as seen:
            await ana.request(method, there, json=BODIES.get((method, path)), headers=headers)
        assert len(seen) == CREDENTIAL + KEY, seen


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
        assert len(seen) == CREDENTIAL + 1 + changed


async def test_a_read_of_what_is_known_stops_where_it_is_known(running: asgi.Running, ana: Person) -> None:
    there = "/todos?list_id={list_id}".format(**await _world(ana, 3))
    etag = (await ana.get(there)).headers["etag"]
    with counted(running) as seen:
        assert (await ana.get(there, headers={"If-None-Match": etag})).status_code == 304
    assert len(seen) == CREDENTIAL + 1
