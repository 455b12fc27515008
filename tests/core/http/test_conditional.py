"""If-Match protects a write from what its author has not seen, If-None-Match spares a read."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import insert

from doable.core import clock
from doable.core.db import Database
from doable.lists.tables import members
from tests.support import asgi
from tests.support.people import API, Person

ID = "0190f5a0-7c3e-7b1a-9d2c-5f6e7a8b9c0d"
WRITES: list[tuple[str, str, dict[str, Any] | None]] = [
    ("PATCH", "/todos/{todo}", {"title": "y"}),
    ("DELETE", "/todos/{todo}", None),
    ("PUT", "/todos/{todo}/completion", None),
    ("DELETE", "/todos/{todo}/completion", None),
    ("PATCH", "/lists/{home}", {"name": "y"}),
    ("DELETE", "/lists/{home}", None),
]


@pytest.fixture
async def epoch(running: asgi.Running) -> str:
    found: str = running.state["epoch"]
    return found


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def if_match(*tags: str) -> dict[str, Any]:
    return {"headers": {"If-Match": ", ".join(tags)}}


async def join(running: asgi.Running, list_id: str, person: Person, role: str) -> None:
    db: Database = running.state["db"]
    async with db.transaction() as tx:
        values = {"list_id": UUID(list_id), "user_id": UUID(person.user["id"]), "role": role, "joined_at": clock.now()}
        await tx.execute(insert(members), **values)


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_a_write_with_the_present_etag_is_done_and_with_an_older_one_refused(
    ana: Person, method: str, path: str, body: dict[str, Any] | None
) -> None:
    home = await ana.list()
    todo = await ana.todo(list_id=home["id"])
    there = path.format(todo=todo["id"], home=home["id"])
    resource = there.removesuffix("/completion")
    seen = (await ana.get(resource)).headers["etag"]
    await ana.patch(resource, {"title": "z"} if "todos" in path else {"name": "z"})
    if method == "DELETE" and there != resource:
        await ana.put(there)
    present = await ana.get(resource)
    refused = await ana.request(method, there, json=body, **if_match(seen))
    assert code(refused) == (412, "PRECONDITION_FAILED")
    assert refused.json()["error"]["details"] == {"etag": present.headers["etag"]}
    assert (await ana.get(resource)).json() == present.json()
    done = await ana.request(method, there, json=body, **if_match(present.headers["etag"]))
    assert done.is_success, done.text


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ('"EPOCH.1"', 200), ("*", 200), (" * ", 200), ('W/"EPOCH.1"', 200), ('"EPOCH.1-gzip"', 200),
        ('W/"EPOCH.1-gzip"', 200), ('"EPOCH.7", "EPOCH.1"', 200), ('"x","EPOCH.1",', 200), (', ,"EPOCH.1"', 200),
        ('"EPOCH.1.viewer"', 200), ('"a,b" , "EPOCH.1"', 200),
        ('"EPOCH.2"', 412), ('"EPOCH.01"', 412), ('"EPOCH.1x"', 412), ('"1"', 412), ('"other000.1"', 412), ('""', 412),
        ('"*"', 412), ('"EPOCH"', 412), ('"EPOCH.99999999999999999999"', 412), ('"EPOCH.1-gzip-gzip"', 412),
        ("EPOCH.1", 400), ('"EPOCH.1', 400), ('w/"EPOCH.1"', 400), ('"EPOCH.1" "x"', 400), ('*, "EPOCH.1"', 400),
        ("", 400), (",", 400), ('"a b"', 400), ("**", 400), ("'EPOCH.1'", 400),
    ],
)  # fmt: skip
async def test_what_if_match_may_say(ana: Person, epoch: str, header: str, status: int) -> None:
    todo = await ana.todo()
    path = f"/todos/{todo['id']}"
    answer = await ana.patch(path, {"title": "x"}, **if_match(header.replace("EPOCH", epoch)))
    assert answer.status_code == status, answer.text
    assert (await ana.get(path)).json()["title"] == ("x" if status == 200 else "Buy milk")
    if status == 400:
        bad = {"If-Match": header}
        assert (await ana.client.patch(f"{API}{path}", json={"title": "x"}, headers=bad)).status_code == 400


async def test_several_headers_are_one_list(ana: Person, epoch: str) -> None:
    todo = await ana.todo()
    headers: Any = [("If-Match", '"x.1"'), ("If-Match", f'"{epoch}.1"'), *ana.headers.items()]
    answer = await ana.client.patch(f"{API}/todos/{todo['id']}", json={"title": "x"}, headers=headers)
    assert answer.status_code == 200


async def test_the_order_is_404_403_412_409(ana: Person, bob: Person, running: asgi.Running) -> None:
    home = await ana.list()
    todo = await ana.todo(list_id=home["id"])
    path = f"/todos/{todo['id']}"
    stale = if_match('"none.1"')
    assert (await bob.patch(path, {"title": "x"}, **stale)).status_code == 404
    assert (await bob.patch(f"/lists/{home['id']}", {"name": "x"}, **stale)).status_code == 404
    await join(running, home["id"], bob, "viewer")
    for method, there, body in WRITES:
        answer = await bob.request(method, there.format(todo=todo["id"], home=home["id"]), json=body, **stale)
        assert code(answer) == (403, "FORBIDDEN"), (method, there)
    await ana.delete(path)
    assert code(await ana.patch(path, {"title": "x"}, **stale)) == (412, "PRECONDITION_FAILED")
    assert code(await ana.patch(path, {"title": "x"}, **if_match("*"))) == (409, "IN_TRASH")
    inbox = f"/lists/{ana.inbox_id}"
    for change in ({"archived": True}, None):
        method = "PATCH" if change else "DELETE"
        assert code(await ana.request(method, inbox, json=change, **stale)) == (412, "PRECONDITION_FAILED")
        assert code(await ana.request(method, inbox, json=change)) == (409, "CONFLICT")


@pytest.mark.parametrize("what", ["todo", "list"])
async def test_of_many_editors_who_have_seen_the_same_exactly_one_wins(ana: Person, what: str) -> None:
    made = await (ana.todo() if what == "todo" else ana.list())
    path, field = (f"/todos/{made['id']}", "title") if what == "todo" else (f"/lists/{made['id']}", "name")
    for _ in range(3):
        before = await ana.get(path)
        options = if_match(before.headers["etag"])
        names = [str(uuid4()) for _ in range(8)]
        answers = await asyncio.gather(*(ana.patch(path, {field: name}, **options) for name in names))
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7
        after = await ana.get(path)
        winner = next(answer for answer in answers if answer.status_code == 200)
        assert after.json() == winner.json()
        assert after.json()["version"] == before.json()["version"] + 1
        told = {answer.json()["error"]["details"]["etag"] for answer in answers if answer.status_code == 412}
        assert told == {after.headers["etag"]}


async def test_deleting_and_completing_race_with_an_edit_and_one_wins(ana: Person) -> None:
    racers: list[Callable[[str, dict[str, Any]], Awaitable[httpx2.Response]]] = [
        lambda path, options: ana.patch(path, {"title": "x"}, **options),
        lambda path, options: ana.delete(path, **options),
        lambda path, options: ana.put(f"{path}/completion", **options),
    ]
    for _ in range(4):
        path = f"/todos/{(await ana.todo())['id']}"
        options = if_match((await ana.get(path)).headers["etag"])
        answers = await asyncio.gather(*(race(path, options) for race in racers))
        assert sorted(answer.is_success for answer in answers) == [False, False, True]
        assert {answer.status_code for answer in answers} <= {200, 204, 412}
        assert (await ana.get(path)).json()["version"] == 2


async def test_a_read_of_what_is_known_is_not_modified(ana: Person) -> None:
    home = await ana.list()
    todo = await ana.todo(list_id=home["id"], description="x" * 900)
    changes: dict[str, tuple[str, dict[str, Any]]] = {
        f"/todos/{todo['id']}": (f"/todos/{todo['id']}", {"title": "y"}),
        f"/todos?list_id={home['id']}&completed=false": (f"/todos/{todo['id']}", {"priority": 1}),
        f"/lists/{home['id']}": (f"/lists/{home['id']}", {"name": "y"}),
    }
    for path, (there, change) in changes.items():
        first = await ana.get(path)
        etag = first.headers["etag"]
        inside = etag.strip('"')
        for known in (etag, f"W/{etag}", f'"{inside}-gzip"', f'"other", {etag}', "*"):
            for method in ("GET", "HEAD"):
                answer = await ana.request(method, path, headers={"If-None-Match": known})
                assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag), known
                assert answer.headers["cache-control"] == first.headers["cache-control"]
                assert "content-type" not in answer.headers
        for other in ('"other"', f'"{inside}1"', f'"{inside}.x"'):
            assert (await ana.get(path, headers={"If-None-Match": other})).status_code == 200
        for bad in (inside, f'"{inside}', "", "*, *"):
            assert code(await ana.get(path, headers={"If-None-Match": bad})) == (400, "MALFORMED_REQUEST")
        await ana.patch(there, change)
        assert (await ana.get(path, headers={"If-None-Match": etag})).status_code == 200


async def test_a_list_is_modified_when_the_role_is(ana: Person, bob: Person, running: asgi.Running) -> None:
    home = await ana.list()
    await join(running, home["id"], bob, "viewer")
    owners, viewers = [(await person.get(f"/lists/{home['id']}")).headers["etag"] for person in (ana, bob)]
    assert owners != viewers
    assert (await bob.get(f"/lists/{home['id']}", headers={"If-None-Match": owners})).status_code == 200
    assert (await ana.patch(f"/lists/{home['id']}", {"name": "x"}, **if_match(viewers))).status_code == 200


async def test_what_has_no_etag_is_always_answered_and_a_stranger_learns_nothing(ana: Person, bob: Person) -> None:
    todo = await ana.todo()
    for path in ("/todos", "/lists", "/users/me", f"/todos?list_id={ana.inbox_id},{(await ana.list())['id']}"):
        assert (await ana.get(path, headers={"If-None-Match": "*"})).status_code == 200
    for path in (f"/todos/{todo['id']}", f"/todos/{ID}", f"/todos?list_id={ana.inbox_id}"):
        assert (await bob.get(path, headers={"If-None-Match": "*"})).status_code == 404
