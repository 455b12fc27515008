"""One key, one effect, one answer: whatever is refused, repeated, changed in between or sent at the same time."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import delete, func, insert, select

from doable.core import claims, clock, failpoints, housekeeping, streams
from doable.core.claims import Claim, Claims
from doable.core.db import Database, SerializationFailure, Transaction
from doable.core.queries import Query, query, scalar
from doable.core.replies import table
from doable.lists.tables import members
from doable.settings import Settings
from tests.support import applications, asgi, people
from tests.support.accounts import Mailbox
from tests.support.jobs import run_job
from tests.support.people import API, Person

KEPT: Query[int] = query(scalar, select(func.count().label("kept")).select_from(table))
REMOVE = delete(table)
postgresql_only = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def db(running: asgi.Running) -> Database:
    found: Database = running.state["db"]
    return found


@pytest.fixture
async def elsewhere(running: asgi.Running, settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """Another process as far as keys and connections go, on the same database."""
    assert running.state
    async with applications.started(settings) as client:
        yield client


@contextmanager
def failpoint(name: str, action: str) -> Iterator[None]:
    failpoints.set_action(name, action)
    try:
        yield
    finally:
        failpoints.set_action(name, None)


@contextmanager
def held(name: str) -> Iterator[asyncio.Event]:
    """Whoever comes to this point stays there until the end of the block; the event tells that somebody has."""
    come, go_on, reach = asyncio.Event(), asyncio.Event(), failpoints.reach

    async def stay(reached: str) -> None:
        if reached == name:
            come.set()
            await go_on.wait()
        await reach(reached)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(failpoints, "reach", stay)
        try:
            yield come
        finally:
            go_on.set()


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> float:
    """Seconds for which a claim is waited for, where it does not matter how many."""
    monkeypatch.setattr(claims, "WAIT", 0.5)
    return claims.WAIT


def keyed(key: str) -> dict[str, Any]:
    return {"headers": {"Idempotency-Key": key}}


def stored(answer: httpx2.Response) -> tuple[int, bytes, list[str | None]]:
    """All that is kept of an answer."""
    return answer.status_code, answer.content, [answer.headers.get(n) for n in ("etag", "location", "doable-position")]


def is_replay(answer: httpx2.Response) -> bool:
    return answer.headers.get("idempotent-replayed") == "true"


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def titles(person: Person) -> list[str]:
    return sorted(todo["title"] for todo in (await person.get("/todos?size=200")).json()["items"])


async def join(db: Database, list_id: str, person: Person, role: str) -> None:
    async with db.transaction() as tx:
        values = {"list_id": UUID(list_id), "user_id": UUID(person.user["id"]), "role": role, "joined_at": clock.now()}
        await tx.execute(insert(members), **values)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for the answer of another request waits however long a busy machine takes for it."""
    monkeypatch.setattr(claims, "WAIT", 60.0)


@pytest.mark.usefixtures("patient")
async def test_fifty_at_once_have_one_effect_and_one_answer(ana: Person) -> None:
    answers = await asyncio.gather(*(ana.post("/todos", {"title": "once"}, **keyed("k")) for _ in range(50)))
    assert len({str(stored(answer)) for answer in answers}) == 1
    assert answers[0].status_code == 201
    assert sum(map(is_replay, answers)) == 49
    assert await titles(ana) == ["once"]


@pytest.mark.usefixtures("patient")
async def test_fifty_at_once_in_two_processes_have_one_effect(ana: Person, elsewhere: httpx2.AsyncClient) -> None:
    other = Person(elsewhere, ana.user, ana.tokens)
    answers = await asyncio.gather(
        *((ana, other)[n % 2].post("/todos", {"title": "once"}, **keyed("k")) for n in range(50))
    )
    assert len({str(stored(answer)) for answer in answers}) == 1
    assert sum(map(is_replay, answers)) == 49
    assert await titles(ana) == ["once"]


async def test_a_repeated_answer_differs_in_no_header_that_says_anything_of_it(ana: Person) -> None:
    todo = await ana.todo()
    own = {"date", "x-request-id", "ratelimit-remaining", "ratelimit-reset", "idempotent-replayed"}
    for n, (method, path, body) in enumerate(
        [
            ("POST", "/todos", {"title": "x"}),
            ("PATCH", f"/todos/{todo['id']}", {"title": "y"}),
            ("DELETE", f"/todos/{todo['id']}", None),
            ("POST", "/import", {"format": "doable", "version": 1}),
        ]
    ):
        one, other = [await ana.request(method, path, json=body, **keyed(f"{n}")) for _ in range(2)]
        assert (is_replay(one), is_replay(other)) == (False, True)
        assert one.content == other.content
        told = [{name: a.headers[name] for name in a.headers.keys() - own} for a in (one, other)]
        assert told[0] == told[1], path


async def test_an_answer_is_repeated_byte_for_byte_after_the_todo_has_changed(ana: Person) -> None:
    first = await ana.post("/todos", {"title": "milk"}, **keyed("made"))
    path = f"/todos/{first.json()['id']}"
    changed = await ana.patch(path, {"title": "oat milk"}, **keyed("changed"))
    gone = await ana.delete(path, **keyed("gone"))
    assert (gone.status_code, gone.content) == (204, b"")
    assert not any(map(is_replay, (first, changed, gone)))
    for _ in range(2):
        again = [
            await ana.post("/todos", {"title": "milk"}, **keyed("made")),
            await ana.patch(path, {"title": "oat milk"}, **keyed("changed")),
            await ana.delete(path, **keyed("gone")),
        ]
        assert [stored(answer) for answer in again] == [stored(answer) for answer in (first, changed, gone)]
        assert all(map(is_replay, again))
        assert again[0].headers["content-type"] == first.headers["content-type"]
        assert "content-type" not in again[2].headers
    assert (await ana.get(path)).json()["version"] == 3


async def test_an_answer_is_repeated_though_access_is_lost_and_if_match_is_stale(
    ana: Person, bob: Person, db: Database
) -> None:
    home = await ana.list()
    todo = await ana.todo(list_id=home["id"])
    await join(db, home["id"], bob, "editor")
    headers = {"Idempotency-Key": "k", "If-Match": (await bob.get(f"/todos/{todo['id']}")).headers["etag"]}
    first = await bob.patch(f"/todos/{todo['id']}", {"title": "by bob"}, headers=headers)
    async with db.transaction() as tx:
        await tx.execute(members.delete().where(members.c.user_id == UUID(bob.user["id"]), members.c.role == "editor"))
    assert (await bob.get(f"/todos/{todo['id']}")).status_code == 404
    again = await bob.patch(f"/todos/{todo['id']}", {"title": "by bob"}, headers=headers)
    assert (stored(again), is_replay(again)) == (stored(first), True)


async def test_an_answer_is_repeated_to_a_live_credential_with_the_scope_only(
    ana: Person, client: httpx2.AsyncClient
) -> None:
    first = await ana.post("/todos", {"title": "x"}, **keyed("k"))
    made = [await ana.post("/users/me/tokens", {"name": "t", "scopes": [s]}) for s in ("todos:read", "todos:write")]
    reader, writer = (Person(client, ana.user, {"access_token": answer.json()["token"]}) for answer in made)
    nobody = Person(client, ana.user, {"access_token": "nonsense"})
    assert code(await nobody.post("/todos", {"title": "x"}, **keyed("k"))) == (401, "UNAUTHENTICATED")
    assert code(await reader.post("/todos", {"title": "x"}, **keyed("k"))) == (403, "INSUFFICIENT_SCOPE")
    assert stored(await writer.post("/todos", {"title": "x"}, **keyed("k"))) == stored(first)
    await ana.delete("/auth/sessions")
    await client.post(f"{API}/auth/logout", json={"refresh_token": ana.tokens["refresh_token"]})
    assert (await ana.post("/todos", {"title": "x"}, **keyed("k"))).status_code == 401


async def test_two_people_may_use_the_same_key(ana: Person, bob: Person) -> None:
    answers = [await person.post("/todos", {"title": "x"}, **keyed("k")) for person in (ana, bob)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert not any(map(is_replay, answers))
    assert [await titles(person) for person in (ana, bob)] == [["x"], ["x"]]


async def test_a_key_of_another_request_is_a_mismatch(ana: Person) -> None:
    todo = await ana.todo()
    path = f"/todos/{todo['id']}"
    await ana.patch(path, {"title": "x"}, **keyed("k"))
    other = await ana.todo()
    others: list[tuple[str, str, dict[str, Any]]] = [
        ("PATCH", path, {"json": {"title": "y"}}),
        ("PATCH", path, {"content": b'{"title":"x" }', "headers": {"Content-Type": "application/json"}}),
        ("PATCH", f"/todos/{other['id']}", {"json": {"title": "x"}}),
        ("PUT", path, {"json": {"title": "x"}}),
        ("DELETE", path, {}),
        ("DELETE", "/auth/sessions", {}),
    ]
    for method, there, options in others:
        headers = {**options.pop("headers", {}), "Idempotency-Key": "k"}
        answer = await ana.request(method, there, headers=headers, **options)
        assert code(answer) == (422, "IDEMPOTENCY_MISMATCH"), (method, there)
    assert is_replay(await ana.patch(f"{path}/", {"title": "x"}, **keyed("k"))), "one slash more is the same path"
    assert (await ana.get(path)).json()["title"] == "x"


@pytest.mark.parametrize(
    ("key", "status"),
    [
        ("k", 201), ("~", 201), ("k" * 255, 201), ('"8e03978e"', 201), ("a b", 201), ("', --", 201),
        ("", 400), ("k" * 256, 400), ("käse", 400), ("a\tb", 400), ("k\x7f", 400), ("é", 400),
    ],
)  # fmt: skip
async def test_what_a_key_may_be(ana: Person, key: str, status: int) -> None:
    headers: Any = [(b"Idempotency-Key", key.encode("latin-1")), (b"Authorization", ana.headers["Authorization"])]
    send = [await ana.client.post(f"{API}/todos", json={"title": "x"}, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in send] == [status, status]
    assert is_replay(send[1]) == (status == 201)
    if status == 400:
        assert code(send[0]) == (400, "MALFORMED_REQUEST")
        anonymous = await ana.client.post(f"{API}/todos", json={"title": "x"}, headers=headers[:1])
        assert anonymous.status_code == 400, "it is seen before it is known who asks"


async def test_two_keys_are_malformed(ana: Person) -> None:
    headers: Any = [("Idempotency-Key", "a"), ("Idempotency-Key", "b"), *ana.headers.items()]
    answer = await ana.client.post(f"{API}/todos", json={"title": "x"}, headers=headers)
    assert code(answer) == (400, "MALFORMED_REQUEST")


async def test_a_refused_request_leaves_the_key_free(
    ana: Person, bob: Person, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, taken = await ana.list(), await ana.todo(id=str(uuid4()))
    await join(db, home["id"], bob, "viewer")
    token = (await bob.post("/users/me/tokens", {"name": "t", "scopes": ["todos:read"]})).json()["token"]
    anonymous = Person(bob.client, bob.user, {"access_token": "nonsense"})
    reader = Person(bob.client, bob.user, {"access_token": token})
    mine = await bob.todo("mine")
    stale = {"headers": {"Idempotency-Key": "k", "If-Match": '"none.1"'}}
    refused = [
        (401, await anonymous.post("/todos", {"title": "x"}, **keyed("k"))),
        (403, await reader.post("/todos", {"title": "x"}, **keyed("k"))),
        (403, await bob.post("/todos", {"title": "x", "list_id": home["id"]}, **keyed("k"))),
        (404, await bob.post("/todos", {"title": "x", "list_id": str(uuid4())}, **keyed("k"))),
        (409, await bob.post("/todos", {"title": "x", "id": taken["id"]}, **keyed("k"))),
        (412, await bob.patch(f"/todos/{mine['id']}", {"title": "x"}, **stale)),
        (422, await bob.post("/todos", {"title": ""}, **keyed("k"))),
    ]
    with failpoint("db.before_commit", "raise"):
        refused.append((500, await bob.post("/todos", {"title": "x"}, **keyed("k"))))
    with failpoint("idempotency.answered", "raise"):
        refused.append((500, await bob.post("/todos", {"title": "x"}, **keyed("k"))))

    async def in_the_way(_tx: Transaction, _stream_id: UUID) -> int:
        raise SerializationFailure

    with monkeypatch.context() as patch:
        patch.setattr(streams, "bump", in_the_way)
        refused.append((503, await bob.delete(f"/todos/{mine['id']}", **keyed("k"))))
    assert [answer.status_code for _, answer in refused] == [status for status, _ in refused]
    assert await db.reads.one(KEPT) == 0
    assert await titles(bob) == ["mine"]
    kept = await bob.post("/todos", {"title": "at last"}, **keyed("k"))
    assert (kept.status_code, is_replay(kept)) == (201, False)


async def test_a_key_is_free_again_after_a_day(ana: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await ana.post("/lists", {"name": "x"}, **keyed("k"))
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(hours=23, minutes=59))
    await ana.client.post(f"{API}/auth/refresh", json={"refresh_token": ana.tokens["refresh_token"]})
    again = await people_again(ana)
    assert stored(await again.post("/lists", {"name": "x"}, **keyed("k"))) == stored(first)
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(hours=24, minutes=1))
    another = await again.patch(f"/lists/{first.json()['id']}", {"name": "y"}, **keyed("k"))
    assert (another.status_code, is_replay(another)) == (200, False)
    once_more = await again.patch(f"/lists/{first.json()['id']}", {"name": "y"}, **keyed("k"))
    assert (stored(once_more), is_replay(once_more)) == (stored(another), True)
    assert once_more.headers.get("location") is None, "of the older answer nothing is left"


async def people_again(person: Person) -> Person:
    """The person with a new session."""
    body = {"login": person.user["username"], "password": people.PASSWORD}
    tokens = await person.client.post(f"{API}/auth/login", json=body)
    return Person(person.client, person.user, tokens.json())


async def test_what_has_expired_is_removed_and_nothing_else(
    ana: Person, db: Database, running: asgi.Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now - timedelta(hours=25))
    old = {"user_id": UUID(ana.user["id"]), "fingerprint": bytes(32), "status": 201, "body": b"", "expires_at": now}
    async with db.transaction() as tx:
        await tx.many(insert(table), [{**old, "key": f"old {n}"} for n in range(1201)])
    monkeypatch.undo()
    await ana.post("/todos", {"title": "x"}, **keyed("new"))
    assert await db.reads.one(KEPT) == 1202
    await run_job(running, housekeeping.purge_replies)
    assert await db.reads.one(KEPT) == 1
    assert is_replay(await ana.post("/todos", {"title": "x"}, **keyed("new")))


def test_two_seconds_are_two_seconds() -> None:
    assert claims.WAIT == 2


@pytest.mark.parametrize(("path", "in_use"), [("/todos", 0), ("/lists", 1)], ids=["written at once", "claimed before"])
async def test_one_in_flight_is_waited_for_two_seconds_without_a_connection(
    ana: Person, db: Database, path: str, in_use: int
) -> None:
    body = {"title": "x"} if path == "/todos" else {"name": "x"}
    with held("db.before_commit") as come:
        first = asyncio.create_task(ana.post(path, body, **keyed("k")))
        await come.wait()
        began = time.monotonic()
        second = asyncio.create_task(ana.post(path, body, **keyed("k")))
        await asyncio.sleep(0.5)
        assert db.pool_status().in_use == in_use
        refused = await second
        assert time.monotonic() - began > 0.95 * claims.WAIT
        assert code(refused) == (409, "IDEMPOTENCY_IN_PROGRESS")
        assert int(refused.headers["retry-after"]) >= 1
    made = await first
    again = await ana.post(path, body, **keyed("k"))
    assert (made.status_code, stored(again), is_replay(again)) == (201, stored(made), True)


@postgresql_only
async def test_one_in_flight_in_another_process_is_waited_for_two_seconds(
    ana: Person, elsewhere: httpx2.AsyncClient
) -> None:
    with held("db.before_commit") as come:
        first = asyncio.create_task(ana.post("/lists", {"name": "x"}, **keyed("k")))
        await come.wait()
        began = time.monotonic()
        refused = await Person(elsewhere, ana.user, ana.tokens).post("/lists", {"name": "x"}, **keyed("k"))
        assert time.monotonic() - began > 0.95 * claims.WAIT
        assert code(refused) == (409, "IDEMPOTENCY_IN_PROGRESS")
    assert (await first).status_code == 201
    assert len((await ana.get("/lists")).json()["items"]) == 2


@postgresql_only
@pytest.mark.parametrize("left", [0.0, -0.5])
@pytest.mark.parametrize(("path", "field"), [("/todos", "title"), ("/lists", "name")])
async def test_who_has_spent_his_patience_on_his_turn_is_refused(
    ana: Person, db: Database, monkeypatch: pytest.MonkeyPatch, path: str, field: str, left: float
) -> None:
    """A `lock_timeout` of zero would be none, and one below it an error."""
    take_turn = Claim._take_turn

    async def late(one: Claim) -> None:
        await take_turn(one)
        one._patience = left

    monkeypatch.setattr(Claim, "_take_turn", late)
    async with db.transaction() as tx:
        await claim(tx, ana, "k")
        refused = await asyncio.create_task(ana.post(path, {field: "x"}, **keyed("k")))
    assert code(refused) == (409, "IDEMPOTENCY_IN_PROGRESS")


@postgresql_only
async def test_what_is_written_at_once_waits_for_a_claim_so_long_and_for_its_list_as_ever(
    ana: Person, db: Database, brief: float
) -> None:
    """`lock_timeout` is for the key alone, in one statement, too."""
    for known in (False, True):
        async with db.transaction() as tx:
            await claim(tx, ana, f"{known}")
            began = time.monotonic()
            refused = await asyncio.create_task(ana.post("/todos", {"title": "x"}, **keyed(f"{known}")))
            assert time.monotonic() - began > 0.9 * brief
            assert code(refused) == (409, "IDEMPOTENCY_IN_PROGRESS")
        assert code(await ana.post("/todos", {"title": "x"}, **keyed(f"{known}"))) == (422, "IDEMPOTENCY_MISMATCH")
        assert (await ana.post("/todos", {"title": "x"}, **keyed(f"{known} again"))).status_code == 201
    # The row of the list's stream, as another process holds it: nobody here waits for its turn.
    lock = select(streams.streams).where(streams.streams.c.id == UUID(ana.inbox_id)).with_for_update()
    async with db.transaction() as tx:
        await tx.all(Query(tuple, lock))
        late = asyncio.create_task(ana.post("/todos", {"title": "late"}, **keyed("late")))
        await asyncio.sleep(2 * brief)
        assert not late.done()
    assert (await late).status_code == 201


async def claim(tx: Transaction, person: Person, key: str) -> None:
    row = {"user_id": UUID(person.user["id"]), "key": key, "fingerprint": bytes(32), "status": 201, "body": b""}
    await tx.execute(insert(table), **row, expires_at=clock.now() + timedelta(hours=1))


async def test_a_claim_that_is_given_up_is_not_waited_for_any_longer(ana: Person, db: Database) -> None:
    """The statement that has waited writes all the same, though its snapshot is older."""
    await ana.todo("before")
    waiting = None
    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as tx:
            await claim(tx, ana, "k")
            waiting = asyncio.create_task(ana.post("/todos", {"title": "x"}, **keyed("k")))
            await asyncio.sleep(0.5)
            assert not waiting.done()
            raise ZeroDivisionError
    assert waiting is not None
    made = await waiting
    assert (made.status_code, is_replay(made)) == (201, False)
    assert stored(await ana.post("/todos", {"title": "x"}, **keyed("k"))) == stored(made)
    assert await titles(ana) == ["before", "x"]


async def test_many_keys_in_two_processes_have_an_effect_each(ana: Person, elsewhere: httpx2.AsyncClient) -> None:
    """In one list that both remember, and whose revision each of them takes from under the other."""
    todo = await ana.todo("first")
    other = Person(elsewhere, ana.user, ana.tokens)
    sent = [
        (person, method, path, {"title": f"{n} {method}"}, f"{n} {method}")
        for n in range(8)
        for method, path in (("POST", "/todos"), ("PUT", f"/todos/{uuid4()}"), ("PATCH", f"/todos/{todo['id']}"))
        for person in (ana, other)
    ]
    answers = await asyncio.gather(*(p.request(m, path, json=body, **keyed(k)) for p, m, path, body, k in sent))
    assert {answer.status_code for answer in answers} <= {200, 201}
    for one, two in zip(answers[::2], answers[1::2], strict=True):
        assert stored(one) == stored(two)
        assert is_replay(one) != is_replay(two)
    events = (await ana.get(f"/lists/{ana.inbox_id}/events?limit=1000")).json()["events"]
    assert [event["revision"] for event in events] == list(range(1, len(events) + 1))
    kinds = [event["kind"] for event in events]
    assert (kinds.count("todo.created"), kinds.count("todo.updated")) == (17, 8)


async def test_what_changes_nothing_is_kept_as_well(ana: Person) -> None:
    todo = await ana.todo("x")
    path = f"/todos/{todo['id']}"
    for method, body in (("PATCH", {"title": "x"}), ("PUT", {"title": "x"})):
        first = await ana.request(method, path, json=body, **keyed(method))
        await ana.patch(path, {"priority": 1})
        again = await ana.request(method, path, json=body, **keyed(method))
        assert (stored(again), is_replay(first), is_replay(again)) == (stored(first), False, True)
        assert "doable-position" not in first.headers
        await ana.patch(path, {"priority": 3})


async def test_who_waits_gets_the_answer_as_soon_as_it_is_there(ana: Person, elsewhere: httpx2.AsyncClient) -> None:
    other = Person(elsewhere, ana.user, ana.tokens)
    with failpoint("db.before_commit", "sleep:0.8"):
        answers = await asyncio.gather(*(p.post("/todos", {"title": "x"}, **keyed("k")) for p in (ana, ana, other)))
    assert len({str(stored(answer)) for answer in answers}) == 1
    assert sum(map(is_replay, answers)) == 2


@pytest.mark.parametrize("action", ["sleep:0.5", "raise"])
async def test_who_waits_for_a_request_that_fails_has_the_effect_himself(ana: Person, action: str) -> None:
    with failpoint("idempotency.claimed", action):
        first = asyncio.create_task(ana.post("/todos", {"title": "x", "list_id": str(uuid4())}, **keyed("k")))
        await asyncio.sleep(0.2)
    second = await ana.post("/todos", {"title": "y"}, **keyed("k"))
    assert (await first).status_code == (404 if action.startswith("sleep") else 500)
    assert (second.status_code, is_replay(second)) == (201, False)


async def test_an_answer_whose_commit_fails_is_nobodys(ana: Person) -> None:
    with failpoint("idempotency.answered", "sleep:0.5"), failpoint("db.before_commit", "raise"):
        first = asyncio.create_task(ana.post("/todos", {"title": "x"}, **keyed("k")))
        await asyncio.sleep(0.2)
        second = asyncio.create_task(ana.post("/todos", {"title": "x"}, **keyed("k")))
        assert (await first).status_code == 500
    made = await second
    assert (made.status_code, is_replay(made)) == (201, False)
    assert await titles(ana) == ["x"]


async def test_the_wait_of_a_claim_does_not_bound_what_comes_after_it(db: Database, ana: Person, brief: float) -> None:
    """PostgreSQL's `lock_timeout` is for the key alone; a busy list may take longer."""
    todo = await ana.todo()
    async with db.transaction() as tx:
        await streams.bump(tx, UUID(todo["list_id"]))
        late = asyncio.create_task(ana.patch(f"/todos/{todo['id']}", {"title": "late"}, **keyed("k")))
        await asyncio.sleep(2 * brief)
        assert not late.done()
    answer = await late
    assert answer.status_code == 200, answer.text


async def test_a_cancelled_request_leaves_the_key_free(ana: Person, running: asgi.Running) -> None:
    with failpoint("idempotency.claimed", "sleep:30"):
        first = asyncio.create_task(ana.post("/todos", {"title": "x"}, **keyed("k")))
        second = asyncio.create_task(ana.post("/todos", {"title": "x"}, **keyed("k")))
        await asyncio.sleep(0.5)
        for task in (first, second):
            task.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
    found: Claims = running.state["claims"]
    assert found._turns == {}
    assert (await ana.post("/todos", {"title": "x"}, **keyed("k"))).status_code == 201
    assert found._turns == {}


async def test_a_key_is_free_after_whatever_its_claim_was_used_for(ana: Person, db: Database) -> None:
    claims = Claims(b"secret", None)
    one = Claim(claims, "k", b"request", lambda: UUID(ana.user["id"]))
    async with one.turn(db.reads):
        async with db.transaction(one) as tx:
            await tx.open()
            await tx.execute(REMOVE)
        assert len(claims._turns) == 1
    async with db.transaction(one) as tx:
        await tx.open()
    assert claims._turns == {}


async def test_a_key_is_free_after_a_transaction_that_was_left_behind(ana: Person, db: Database) -> None:
    claims = Claims(b"secret", None)

    async def opened() -> AsyncIterator[None]:
        async with db.transaction(Claim(claims, "k", b"request", lambda: UUID(ana.user["id"]))) as tx:
            await tx.open()
            yield

    async def leave_it() -> None:
        left = opened()
        await anext(left)
        await asyncio.get_running_loop().create_task(left.aclose())  # type: ignore[attr-defined]

    with pytest.raises(ValueError, match="different Context"):
        await leave_it()
    assert claims._turns == {}
    assert not db._wheel._limits


async def test_what_asks_for_a_password_or_gives_a_secret_ignores_the_key(ana: Person, db: Database) -> None:
    bodies = [{"name": "t", "scopes": ["todos:read"]}] * 2
    answers = [await ana.post("/users/me/tokens", body, **keyed("k")) for body in bodies]
    assert answers[0].json()["token"] != answers[1].json()["token"]
    login = {"login": "ana", "password": people.PASSWORD}
    for key in ("k", "", "k" * 300):
        answer = await ana.client.post(f"{API}/auth/login", json=login, **keyed(key))
        assert (answer.status_code, is_replay(answer)) == (200, False)
    assert await db.reads.one(KEPT) == 0


async def test_a_profile_is_changed_once_and_answered_alike(ana: Person, db: Database) -> None:
    body = {"email": "new@example.com", "current_password": people.PASSWORD, "timezone": "Europe/Zagreb"}
    answers = await asyncio.gather(*(ana.patch("/users/me", body, **keyed("k")) for _ in range(5)))
    assert len({str(stored(answer)) for answer in answers}) == 1
    assert [answers[0].status_code, sum(map(is_replay, answers))] == [200, 4]
    new = "another long walk 43"
    change = {"current_password": people.PASSWORD, "password": new, "confirm_password": new}
    assert (await ana.put("/users/me/password", change)).status_code == 204
    await ana.patch("/users/me", {"timezone": "UTC"})
    again = await ana.patch("/users/me", body, **keyed("k"))
    assert (stored(again), is_replay(again)) == (stored(answers[0]), True), "though the password is another one now"
    assert (await ana.get("/users/me")).json()["timezone"] == "UTC"
    assert await db.reads.one(KEPT) == 1
    assert code(await ana.patch("/users/me", {"timezone": "UTC"}, **keyed("k"))) == (422, "IDEMPOTENCY_MISMATCH")


async def test_a_profile_that_is_not_committed_mails_nothing(
    ana: Person, running: asgi.Running, settings: Settings
) -> None:
    mailbox = Mailbox(settings, running)
    old, new = "ana@example.com", "new@example.com"
    before = len(await mailbox.to(old))
    body = {"email": "new@example.com", "current_password": people.PASSWORD}
    with failpoint("idempotency.answered", "raise"):
        assert (await ana.patch("/users/me", body, **keyed("k"))).status_code == 500
    assert (await mailbox.to(new), (await ana.get("/users/me")).json()["email"]) == ([], old)
    for _ in range(2):
        assert (await ana.patch("/users/me", body, **keyed("k"))).status_code == 200
    assert len(await mailbox.to(new)) == 1
    assert len(await mailbox.to(old)) == before, "none to the old, which was never verified"


async def test_a_user_who_leaves_takes_his_answers_along(ana: Person, db: Database) -> None:
    await ana.post("/todos", {"title": "secret"}, **keyed("k"))
    answer = await ana.delete("/users/me", json={"current_password": people.PASSWORD})
    assert answer.status_code == 204, answer.text
    assert await db.reads.one(KEPT) == 0


def test_a_key_is_known_after_a_change_of_the_secret_while_the_one_before_is() -> None:
    before, request = Claims(b"old", None), b"a digest"
    kept = before.fingerprint(request)
    assert kept != request
    assert before.is_of(request, kept)
    assert Claims(b"new", b"old").is_of(request, kept)
    assert not Claims(b"new", b"old").is_of(b"another", kept)
    assert not Claims(b"new", None).is_of(request, kept)
    assert Claims(b"new", b"old").fingerprint(request) == Claims(b"new", None).fingerprint(request) != kept
