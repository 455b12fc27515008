"""Which credentials are believed, on every request, and in which order a request is refused."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import update

from doable.accounts import endings
from doable.accounts.tables import api_tokens, sessions, users
from doable.core import clock, ids
from doable.core.db import Database
from doable.core.tokens import AccessTokens
from doable.settings import Settings
from tests.support import asgi
from tests.support.accounts import Wait
from tests.support.people import API, Person

SCOPES = ["todos:read", "todos:write", "lists:read", "lists:write", "account"]


async def get_me(client: httpx2.AsyncClient, authorization: str | None) -> httpx2.Response:
    headers = {} if authorization is None else {"Authorization": authorization}
    return await client.get(f"{API}/users/me", headers=headers)


def code(answer: httpx2.Response) -> str:
    assert answer.status_code == 401, answer.text
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    found: str = answer.json()["error"]["code"]
    return found


async def api_token(person: Person, *scopes: str, **members: object) -> dict[str, Any]:
    answer = await person.post("/users/me/tokens", {"name": "program", "scopes": list(scopes or SCOPES), **members})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def program(person: Person, token: dict[str, Any]) -> Person:
    """The same person, acting through an API token."""
    return Person(person.client, person.user, {"access_token": token["token"]})


@contextmanager
def statements(db: Database) -> Iterator[list[str]]:
    """What is sent to the database meanwhile."""
    seen: list[str] = []

    db.watchers.append(seen.append)
    try:
        yield seen
    finally:
        db.watchers.remove(seen.append)


async def test_what_proves_nothing_is_refused(client: httpx2.AsyncClient) -> None:
    for authorization in (
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer dbl_",
        f"Bearer dbl_{'A' * 43}",
        "Basic YW5hOmFuYQ==",
        "Bearer " + "a" * 9000,
        "Bearer eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.e30.",
    ):
        assert code(await get_me(client, authorization)) == "UNAUTHENTICATED", authorization


@pytest.mark.parametrize("column", ["disabled_at", "deleted_at"])
async def test_a_user_who_may_not_enter_is_refused_with_every_credential(
    ana: Person, db: Database, column: str
) -> None:
    token = await api_token(ana)
    async with db.transaction() as tx:
        await tx.execute(update(users).values({column: users.c.created_at}))
        await endings.tell(tx, UUID(ana.user["id"]), clock.now())
    assert code(await ana.get("/users/me")) == "UNAUTHENTICATED"
    assert code(await program(ana, token).get("/users/me")) == "UNAUTHENTICATED"


async def test_a_user_who_has_vanished_is_refused(ana: Person, running: asgi.Running) -> None:
    access_tokens: AccessTokens = running.state["access_tokens"]
    unknown = access_tokens.issue(ids.new_id(), ids.new_id(), 0, clock.now())
    assert code(await get_me(ana.client, f"Bearer {unknown}")) == "UNAUTHENTICATED"


async def test_a_claim_alone_proves_nothing(ana: Person, bruno: Person, running: asgi.Running) -> None:
    session_id = UUID((await ana.get("/auth/sessions")).json()["items"][0]["id"])
    access_tokens: AccessTokens = running.state["access_tokens"]
    for user_id, expected in ((ana.user["id"], 200), (bruno.user["id"], 401)):
        token = access_tokens.issue(UUID(user_id), session_id, 0, clock.now())
        assert (await get_me(ana.client, f"Bearer {token}")).status_code == expected


async def test_a_good_credential_counts_as_a_bearers_alone(ana: Person) -> None:
    token = ana.tokens["access_token"]
    for authorization in (f"Bearer {token}", f"bearer {token}", f"BEARER  {token} "):
        assert (await get_me(ana.client, authorization)).status_code == 200, authorization
    for authorization in (token, f"Basic {token}", f"Bearer{token}", f"Bearer: {token}"):
        assert code(await get_me(ana.client, authorization)) == "UNAUTHENTICATED", authorization


@pytest.mark.parametrize("column", ["revoked_at", "expires_at"])
async def test_the_row_of_the_session_decides(ana: Person, db: Database, column: str) -> None:
    assert (await ana.get("/users/me")).status_code == 200
    async with db.transaction() as tx:
        await tx.execute(update(sessions).values({column: sessions.c.created_at}))
        await endings.tell(tx, UUID(ana.user["id"]), clock.now())
    assert code(await ana.get("/users/me")) == "SESSION_ENDED"


async def test_an_access_token_lives_thirty_minutes(ana: Person, wait: Wait) -> None:
    wait(dt.timedelta(minutes=29))
    assert (await ana.get("/users/me")).status_code == 200
    wait(dt.timedelta(minutes=1))
    assert code(await ana.get("/users/me")) == "UNAUTHENTICATED"


async def test_an_api_token_ends_at_its_time(ana: Person, wait: Wait) -> None:
    token = await api_token(ana, expires_at=clock.iso(clock.now() + dt.timedelta(hours=1)))
    assert (await program(ana, token).get("/users/me")).status_code == 200
    wait(dt.timedelta(hours=1))
    assert code(await program(ana, token).get("/users/me")) == "UNAUTHENTICATED"


async def test_an_api_token_goes_as_far_as_its_scopes(ana: Person) -> None:
    for given in SCOPES:
        asking = program(ana, await api_token(ana, given))
        for method, path, scope, body in (
            ("GET", "/users/me", "account", None),
            ("PATCH", "/users/me", "account", {}),
            ("GET", "/lists", "lists:read", None),
            ("POST", "/lists", "lists:write", {"name": "x"}),
            ("GET", "/todos", "todos:read", None),
            ("POST", "/todos", "todos:write", {"title": "x"}),
        ):
            answer = await asking.request(method, path, **({} if body is None else {"json": body}))
            if given == scope:
                assert answer.is_success, answer.text
            else:
                assert answer.status_code == 403, (given, method, path)
                assert answer.json()["error"]["code"] == "INSUFFICIENT_SCOPE"
                assert answer.json()["error"]["details"] == {"scope": scope}


async def test_what_needs_a_session_refuses_every_api_token(ana: Person, db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute(update(users).values(is_admin=True))
    asking = program(ana, await api_token(ana))
    for method, path in (
        ("PUT", "/users/me/password"),
        ("DELETE", "/users/me"),
        ("GET", "/auth/sessions"),
        ("DELETE", "/auth/sessions"),
        ("DELETE", f"/auth/sessions/{UUID(int=1)}"),
        ("GET", "/users/me/tokens"),
        ("POST", "/users/me/tokens"),
        ("DELETE", f"/users/me/tokens/{UUID(int=1)}"),
        ("POST", "/auth/logout"),
        ("GET", "/users"),
        ("PATCH", f"/users/{UUID(int=1)}"),
    ):
        answer = await asking.request(method, path, **({} if method == "GET" else {"json": {}}))
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "SESSION_REQUIRED"), (method, path)


async def test_what_is_for_administrators_refuses_others(ana: Person) -> None:
    for method, path in (("GET", "/users"), ("PATCH", f"/users/{ana.user['id']}")):
        answer = await ana.request(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN")


async def test_a_deleted_api_token_is_refused_at_once(ana: Person) -> None:
    token = await api_token(ana)
    assert (await ana.delete(f"/users/me/tokens/{token['id']}")).status_code == 204
    assert code(await program(ana, token).get("/users/me")) == "UNAUTHENTICATED"


async def test_who_is_asking_comes_before_what_is_asked(ana: Person) -> None:
    nobody = Person(ana.client, {}, {"access_token": "x"})
    assert (await nobody.post("/users/me/tokens", {"nonsense": 1})).status_code == 401
    reader = program(ana, await api_token(ana, "todos:read"))
    assert (await reader.patch("/users/me", {"nonsense": 1})).status_code == 403
    assert (await ana.patch("/users/me", {"nonsense": 1})).status_code == 422


async def test_every_use_of_a_token_is_noted_outside_of_the_request(
    ana: Person, db: Database, running: asgi.Running
) -> None:
    token = await api_token(ana)
    with statements(db) as seen:
        await program(ana, token).get("/users/me")
        await ana.get("/users/me")
    assert not [statement for statement in seen if not statement.startswith("SELECT")]
    assert (await ana.get("/users/me/tokens")).json()["items"][0]["last_used_at"] is None
    began = (await ana.get("/auth/sessions")).json()["items"][0]["last_used_at"]
    await running.state["last_used"].flush()
    assert len((await ana.get("/users/me/tokens")).json()["items"][0]["last_used_at"]) == 24
    assert (await ana.get("/auth/sessions")).json()["items"][0]["last_used_at"] > began


class TestBudget:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"rate_limit_per_minute": 5})

    async def test_reads_and_writes_of_a_person_are_counted_apart(self, ana: Person) -> None:
        reads = [await ana.get("/users/me") for _ in range(6)]
        assert [answer.status_code for answer in reads] == [200] * 5 + [429]
        assert [answer.headers["RateLimit-Remaining"] for answer in reads] == ["4", "3", "2", "1", "0", "0"]
        assert int(reads[-1].headers["Retry-After"]) >= 1
        assert (await ana.patch("/users/me", {})).status_code == 200

    async def test_a_budget_is_used_up_before_a_scope_is_missed(self, ana: Person) -> None:
        token = await api_token(ana, "todos:read")
        answers = [(await program(ana, token).get("/users/me")).status_code for _ in range(6)]
        assert answers == [403] * 5 + [429]

    @pytest.mark.usefixtures("ana")
    async def test_logins_are_counted_by_network(self, client: httpx2.AsyncClient) -> None:
        body = {"login": "ana", "password": "wrong"}
        answers = [(await client.post(f"{API}/auth/login", json=body)).status_code for _ in range(5)]
        assert answers == [401] * 4 + [429]  # a login came before


async def test_a_late_note_does_not_overwrite_a_newer_one(ana: Person, db: Database, running: asgi.Running) -> None:
    await api_token(ana)
    async with db.transaction() as tx:
        await tx.execute(update(api_tokens).values(last_used_at=clock.now() + dt.timedelta(hours=1)))
    before = (await ana.get("/users/me/tokens")).json()["items"][0]
    running.state["last_used"].touch_token(UUID(ana.user["id"]), UUID(before["id"]), clock.now())
    await running.state["last_used"].flush()
    assert (await ana.get("/users/me/tokens")).json()["items"][0] == before
