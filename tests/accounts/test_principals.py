"""What is remembered of credentials spares statements, and never a refusal."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import update

from doable.accounts import endings, principals
from doable.accounts.access import Actor
from doable.accounts.endings import Endings
from doable.accounts.principals import Principals
from doable.accounts.tables import api_tokens, sessions, users
from doable.core import clock
from doable.core.db import Database, Transaction
from doable.settings import Settings
from tests.support import applications, asgi, waiting
from tests.support.accounts import Wait, asks_who
from tests.support.people import API, PASSWORD, Person, register

TOLD = 20.0
"""A second, on a machine that may be busy."""
ALL = ["todos:read", "todos:write", "lists:read", "lists:write", "account"]


@contextmanager
def questions(db: Database) -> Iterator[list[str]]:
    """The statements that ask who is behind a credential."""
    asked: list[str] = []

    def see(statement: str) -> None:
        if asks_who(statement):
            asked.append(statement)

    db.watchers.append(see)
    yield asked
    db.watchers.remove(see)


async def program(person: Person) -> Person:
    answer = await person.post("/users/me/tokens", {"name": "program", "scopes": ALL})
    return Person(person.client, person.user, {"access_token": answer.json()["token"], "id": answer.json()["id"]})


async def status(person: Person) -> int:
    return (await person.get("/todos")).status_code


@pytest.mark.parametrize("by_token", [False, True])
async def test_who_is_known_is_not_asked_for_again(ana: Person, db: Database, *, by_token: bool) -> None:
    asking = await program(ana) if by_token else ana
    assert await status(asking) == 200
    with questions(db) as asked:
        assert [await status(asking) for _ in range(5)] == [200] * 5
    assert not asked


@pytest.fixture
def for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked again but for being told."""
    monkeypatch.setattr(principals, "LONGEST", dt.timedelta(hours=1))


@pytest.mark.usefixtures("for_long")
async def test_a_credential_that_ends_is_refused_at_once_and_ever_after(
    ana: Person, bruno: Person, db: Database, running: asgi.Running
) -> None:
    ends: Endings = running.state["endings"]
    tokens = [await program(ana) for _ in range(2)]
    assert [await status(one) for one in (ana, bruno, *tokens)] == [200] * 4
    await ana.delete(f"/users/me/tokens/{tokens[0].tokens['id']}")
    assert [await status(one) for one in tokens] == [401, 200]
    await ana.post("/auth/logout")
    assert [await status(one) for one in (ana, tokens[1])] == [401, 200]
    async with db.transaction() as tx:
        await tx.execute(update(users).where(users.c.id == UUID(bruno.user["id"])).values(is_admin=True))
        await endings.tell(tx, UUID(bruno.user["id"]), clock.now())
    await bruno.patch(f"/users/{ana.user['id']}", {"disabled": True})
    assert [await status(one) for one in (tokens[1], bruno)] == [401, 200]
    await waiting.until(lambda: ends.settled)
    assert [await status(one) for one in (ana, *tokens, bruno)] == [401, 401, 401, 200]


async def test_a_token_ends_at_its_time_however_well_it_is_known(ana: Person, wait: Wait) -> None:
    expires_at = clock.iso(clock.now() + dt.timedelta(seconds=5))
    made = await ana.post("/users/me/tokens", {"name": "short", "scopes": ALL, "expires_at": expires_at})
    asking = Person(ana.client, ana.user, {"access_token": made.json()["token"]})
    assert await status(asking) == 200
    wait(dt.timedelta(seconds=4))
    assert await status(asking) == 200
    wait(dt.timedelta(seconds=1))
    assert await status(asking) == 401


@pytest.mark.parametrize("lost", ["session", "account", "token"])
async def test_what_is_written_by_hand_counts_within_seconds(ana: Person, db: Database, wait: Wait, lost: str) -> None:
    asking = await program(ana) if lost == "token" else ana
    assert await status(asking) == 200
    async with db.transaction() as tx:
        await _lose(tx, lost)
    wait(principals.LONGEST)
    assert await status(asking) == 401


async def _lose(tx: Transaction, what: str) -> None:
    if what == "session":
        await tx.execute(update(sessions).values(revoked_at=sessions.c.created_at))
    elif what == "account":
        await tx.execute(update(users).values(disabled_at=users.c.created_at))
    else:
        await tx.execute(update(api_tokens).values(expires_at=api_tokens.c.created_at))


async def test_while_ends_cannot_be_read_the_database_is_asked(
    ana: Person, db: Database, running: asgi.Running
) -> None:
    assert await status(ana) == 200
    ends: Endings = running.state["endings"]
    await ends.close()
    await waiting.until(lambda: not ends.fresh)
    with questions(db) as asked:
        assert await status(ana) == 200
    assert len(asked) == 1
    async with db.transaction() as tx:
        await _lose(tx, "session")
    assert await status(ana) == 401


async def test_an_end_during_the_question_is_not_forgotten(ana: Person, running: asgi.Running) -> None:
    known: Principals[Actor] = running.state["principals"]
    assert await status(ana) == 200
    credential, now = ana.tokens["access_token"], clock.now()
    actor = known.find(credential, now)
    asked = known.asking()
    assert actor is not None
    await ana.post("/auth/logout")
    await waiting.until(lambda: known.asking() > asked)
    known.remember(credential, actor, asked, now, None)
    assert known.find(credential, now) is None
    assert await status(ana) == 401


async def test_a_renamed_person_is_known_by_the_new_name(ana: Person, running: asgi.Running) -> None:
    known: Principals[Actor] = running.state["principals"]
    assert await status(ana) == 200
    assert (await ana.patch("/users/me", {"username": "annika", "timezone": "Europe/Zagreb"})).status_code == 200
    credential = ana.tokens["access_token"]
    while (actor := known.find(credential, clock.now())) is None:
        assert await status(ana) == 200
    assert (actor.username, actor.timezone) == ("annika", "Europe/Zagreb")


async def test_only_so_many_are_remembered(
    ana: Person, bruno: Person, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(principals, "MOST", 1)
    with questions(db) as asked:
        for person in (ana, bruno, bruno, ana):
            assert await status(person) == 200
    assert len(asked) == 3


@pytest.fixture
async def neighbour(settings: Settings, running: asgi.Running) -> AsyncIterator[httpx2.AsyncClient]:
    """Another process on the same database, which began after the first."""
    assert running.state["epoch"]
    async with applications.started(settings) as client:
        yield client


@pytest.mark.usefixtures("for_long")
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_what_one_process_ends_the_other_refuses(
    client: httpx2.AsyncClient, neighbour: httpx2.AsyncClient
) -> None:
    ana = await register(client, "ana")
    there = Person(neighbour, ana.user, ana.tokens)
    token = await program(ana)
    token_there = Person(neighbour, ana.user, token.tokens)
    for person in (there, token_there):
        assert await status(person) == 200
    await ana.delete(f"/users/me/tokens/{token.tokens['id']}")
    await client.post(f"{API}/auth/logout", headers=ana.headers)
    async with asyncio.timeout(TOLD):
        while 200 in {await status(there), await status(token_there)}:  # noqa: ASYNC110 — told elsewhere, without a bell
            await asyncio.sleep(0.05)
    login = await neighbour.post(f"{API}/auth/login", json={"login": "ana", "password": PASSWORD})
    assert await status(Person(neighbour, ana.user, login.json())) == 200
