"""Whoever loses the right to do something while it waits for a lock does not do it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import update

from doable.accounts.access import Actor
from doable.accounts.operations import administration, api_tokens, profile, sessions
from doable.accounts.operations.mailed import Post
from doable.accounts.operations.profile import Wanted
from doable.accounts.schemas import ApiTokenCreate
from doable.accounts.tables import sessions as session_table
from doable.accounts.tables import users
from doable.core import clock, ids
from doable.core.db import Database
from doable.core.errors import AppException, Code
from doable.core.passwords import Hasher
from doable.settings import Settings
from tests.support import asgi
from tests.support.people import API, PASSWORD, Person

FORM = ApiTokenCreate(name="x", scopes=["account"])


async def actor(person: Person, *, is_admin: bool = False) -> Actor:
    """What the check of the credential has found, some time ago."""
    (session,) = [one for one in (await person.get("/auth/sessions")).json()["items"] if one["current"]]
    return Actor(
        user_id=UUID(person.user["id"]),
        username=person.user["username"],
        is_admin=is_admin,
        timezone="UTC",
        inbox_id=UUID(person.inbox_id),
        session_id=UUID(session["id"]),
        token_id=None,
        scopes=None,
    )


async def lose(db: Database, what: str) -> Code:
    """Take away what makes the actor one, and say how he is told."""
    async with db.transaction() as tx:
        if what == "session":
            await tx.execute(update(session_table).values(revoked_at=session_table.c.created_at))
        else:
            await tx.execute(update(users).values(disabled_at=users.c.created_at))
    return Code.SESSION_ENDED if what == "session" else Code.UNAUTHENTICATED


@pytest.mark.parametrize("lost", ["session", "account"])
async def test_nothing_is_written_in_the_name_of_somebody_who_is_out(
    ana: Person, db: Database, hasher: Hasher, lost: str
) -> None:
    who = await actor(ana)
    code = await lose(db, lost)

    async def in_transaction(verb: Any, *arguments: object) -> None:
        async with db.transaction() as tx:
            await verb(tx, *arguments)

    writes: list[Coroutine[Any, Any, object]] = [
        api_tokens.create(db, who, FORM),
        in_transaction(api_tokens.delete, who, ids.new_id()),
        in_transaction(sessions.end, who, ids.new_id()),
        in_transaction(sessions.end_others, who),
        in_transaction(administration.change_standing, who.user_id),
        profile.delete(db, hasher, who, PASSWORD),
    ]
    for write in writes[:4] + writes[5:]:
        with pytest.raises(AppException) as refusal:
            await write
        assert refusal.value.code is code
    await writes[4]  # the command line acts for nobody


@asynccontextmanager
async def held(db: Database, person: Person) -> AsyncIterator[Any]:
    async with db.transaction() as tx:
        await tx.execute(update(users).where(users.c.id == UUID(person.user["id"])).values(updated_at=clock.now()))
        yield tx


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_session_that_ends_while_it_waits_makes_no_token(ana: Person, db: Database) -> None:
    async with held(db, ana) as tx:
        making = asyncio.create_task(ana.post("/users/me/tokens", {"name": "x", "scopes": ["account"]}))
        await asyncio.sleep(0.3)
        await tx.execute(update(session_table).values(revoked_at=session_table.c.created_at))
    answer = await making
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "SESSION_ENDED")


async def test_an_administrator_who_is_none_any_more_changes_nobody(ana: Person, bruno: Person, db: Database) -> None:
    who = await actor(ana, is_admin=True)
    with pytest.raises(AppException) as refusal:
        async with db.transaction() as tx:
            await administration.change_standing(tx, UUID(bruno.user["id"]), actor=who, is_admin=True)
    assert refusal.value.code is Code.FORBIDDEN


async def test_a_program_whose_token_is_deleted_changes_nothing(
    ana: Person, client: httpx2.AsyncClient, db: Database, running: asgi.Running, settings: Settings
) -> None:
    post = Post(running.state["limiter"], settings)
    made = (await ana.post("/users/me/tokens", {"name": "x", "scopes": ["account"]})).json()
    found = await actor(ana)
    program = Actor(
        user_id=found.user_id,
        username=found.username,
        is_admin=False,
        timezone="UTC",
        inbox_id=found.inbox_id,
        session_id=None,
        token_id=UUID(made["id"]),
        scopes=frozenset({"account"}),
    )
    async with db.transaction() as tx:
        await profile.update(tx, post, program, Wanted({"username": "annika"}, None, None))
    await ana.delete(f"/users/me/tokens/{made['id']}")
    with pytest.raises(AppException) as refusal:
        async with db.transaction() as tx:
            await profile.update(tx, post, program, Wanted({"username": "bettina"}, None, None))
    assert refusal.value.code is Code.UNAUTHENTICATED
    assert (await client.get(f"{API}/users/me", headers=ana.headers)).json()["username"] == "annika"
