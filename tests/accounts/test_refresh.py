"""A chain of refresh tokens: lost answers, two tabs, thieves, and the end."""

import asyncio
import datetime as dt
import sqlite3
from contextlib import closing
from typing import Any

import httpx2
import pytest
from sqlalchemy import select, update

from doable.accounts.last_used import LastUsed
from doable.accounts.tables import sessions, users
from doable.app import create_app
from doable.core import failpoints
from doable.core.db import Database
from doable.core.queries import query, scalar
from doable.settings import Settings
from tests.support import asgi, people
from tests.support.accounts import Mailbox, Wait
from tests.support.people import API, PASSWORD, Person

GRACE = dt.timedelta(seconds=10)
MOMENT = dt.timedelta(milliseconds=1)
REVOKED_AT = query(scalar, select(sessions.c.revoked_at))
GENERATION = query(scalar, select(sessions.c.generation))
EXPIRES_AT = query(scalar, select(sessions.c.expires_at))
SEEN = query(scalar, select(sessions.c.seen_generation))


async def refresh(client: httpx2.AsyncClient, token: str) -> httpx2.Response:
    return await client.post(f"{API}/auth/refresh", json={"refresh_token": token})


async def refreshed(client: httpx2.AsyncClient, token: str) -> dict[str, Any]:
    answer = await refresh(client, token)
    assert answer.status_code == 200, answer.text
    pair: dict[str, Any] = answer.json()
    return pair


async def me(client: httpx2.AsyncClient, access_token: str) -> httpx2.Response:
    return await client.get(f"{API}/users/me", headers={"Authorization": f"Bearer {access_token}"})


async def use(client: httpx2.AsyncClient, access_token: str, last_used: LastUsed) -> None:
    """A request, after which it is written which generation was seen."""
    assert (await me(client, access_token)).status_code == 200
    await last_used._flush_seen()


def refused(answer: httpx2.Response) -> str:
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    code: str = answer.json()["error"]["code"]
    return code


@pytest.fixture
def token(ana: Person) -> str:
    return str(ana.tokens["refresh_token"])


@pytest.fixture
def last_used(running: asgi.Running) -> LastUsed:
    found: LastUsed = running.state["last_used"]
    return found


async def test_a_token_is_exchanged_for_the_next(client: httpx2.AsyncClient, token: str) -> None:
    pair = await refreshed(client, token)
    assert pair.keys() == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert pair["refresh_token"] != token
    assert (await me(client, pair["access_token"])).status_code == 200
    assert (await refreshed(client, pair["refresh_token"]))["refresh_token"] not in {token, pair["refresh_token"]}


async def test_a_lost_answer_is_given_again_however_late(
    client: httpx2.AsyncClient, token: str, wait: Wait, db: Database
) -> None:
    first = await refreshed(client, token)
    wait(dt.timedelta(days=3))
    again = await refreshed(client, token)
    assert again["refresh_token"] == first["refresh_token"]
    assert await db.reads.one(GENERATION) == 1
    assert (await me(client, again["access_token"])).status_code == 200


async def test_a_parent_is_good_for_ten_seconds_after_its_successor_was_used(
    client: httpx2.AsyncClient, token: str, wait: Wait, last_used: LastUsed
) -> None:
    first = await refreshed(client, token)
    wait(dt.timedelta(minutes=5))
    await use(client, first["access_token"], last_used)
    wait(GRACE - dt.timedelta(seconds=5))
    assert (await refreshed(client, token))["refresh_token"] == first["refresh_token"]


async def test_a_parent_presented_later_ends_the_session_and_the_row_says_so(
    client: httpx2.AsyncClient, token: str, wait: Wait, last_used: LastUsed, db: Database
) -> None:
    first = await refreshed(client, token)
    await use(client, first["access_token"], last_used)
    wait(GRACE + dt.timedelta(seconds=1))
    assert refused(await refresh(client, token)) == "SESSION_ENDED"
    assert await db.reads.one(REVOKED_AT) is not None
    assert refused(await refresh(client, first["refresh_token"])) == "SESSION_ENDED"
    assert refused(await me(client, first["access_token"])) == "SESSION_ENDED"


async def test_a_slow_client_may_send_the_token_before_the_previous_one_for_ten_seconds(
    client: httpx2.AsyncClient, token: str, wait: Wait, db: Database
) -> None:
    second = await refreshed(client, (await refreshed(client, token))["refresh_token"])
    assert refused(await refresh(client, token)) == "UNAUTHENTICATED"
    assert await db.reads.one(REVOKED_AT) is None
    wait(GRACE + dt.timedelta(seconds=1))
    assert refused(await refresh(client, token)) == "SESSION_ENDED"
    assert await db.reads.one(REVOKED_AT) is not None
    assert refused(await refresh(client, second["refresh_token"])) == "SESSION_ENDED"


async def test_an_older_token_ends_a_session_that_keeps_moving(client: httpx2.AsyncClient, token: str) -> None:
    newest = token
    for _ in range(3):
        newest = (await refreshed(client, newest))["refresh_token"]
    assert refused(await refresh(client, token)) == "SESSION_ENDED"
    assert refused(await refresh(client, newest)) == "SESSION_ENDED"


async def test_the_ten_seconds_begin_when_the_successor_was_seen(
    client: httpx2.AsyncClient, token: str, wait: Wait, last_used: LastUsed
) -> None:
    first = await refreshed(client, token)
    await use(client, first["access_token"], last_used)
    wait(GRACE * 2)
    await refreshed(client, first["refresh_token"])
    assert refused(await refresh(client, token)) == "SESSION_ENDED"


async def test_a_clock_that_is_put_back_prolongs_no_grace(
    client: httpx2.AsyncClient, token: str, wait: Wait, last_used: LastUsed
) -> None:
    first = await refreshed(client, token)
    wait(dt.timedelta(minutes=5))
    await use(client, first["access_token"], last_used)
    wait(dt.timedelta(minutes=-4))
    assert refused(await refresh(client, token)) == "SESSION_ENDED"


@pytest.mark.parametrize("settings", [{"rate_limit_per_minute": 5}], indirect=True)
async def test_junk_does_not_keep_a_network_from_refreshing_and_leaving(client: httpx2.AsyncClient, token: str) -> None:
    junk = [(await refresh(client, "junk")).status_code for _ in range(8)]
    assert set(junk) == {401, 429}
    pair = await refreshed(client, token)
    body = {"refresh_token": "junk"}
    assert (await client.post(f"{API}/auth/logout", json=body)).status_code == 429
    logout = {"Authorization": f"Bearer {pair['access_token']}"}
    assert (await client.post(f"{API}/auth/logout", headers=logout)).status_code == 204


@pytest.mark.parametrize("settings", [{"rate_limit_per_minute": 5}], indirect=True)
async def test_a_session_refreshes_as_often_as_its_budget_allows(client: httpx2.AsyncClient, token: str) -> None:
    answers = [await refresh(client, token) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]


async def test_twenty_at_once_get_one_successor(client: httpx2.AsyncClient, token: str, db: Database) -> None:
    answers = await asyncio.gather(*(refresh(client, token) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    assert await db.reads.one(GENERATION) == 1


async def test_the_use_of_an_access_token_is_noticed_within_a_second(
    client: httpx2.AsyncClient, token: str, db: Database
) -> None:
    first = await refreshed(client, token)
    assert (await me(client, first["access_token"])).status_code == 200
    for _ in range(100):
        if await db.reads.one(SEEN) == 1:
            break
        await asyncio.sleep(0.1)
    assert await db.reads.one(SEEN) == 1


async def test_an_older_access_token_says_nothing_of_the_successor(
    ana: Person, client: httpx2.AsyncClient, token: str, wait: Wait, last_used: LastUsed
) -> None:
    first = await refreshed(client, token)
    await use(client, ana.tokens["access_token"], last_used)
    wait(GRACE * 2)
    assert (await refreshed(client, token))["refresh_token"] == first["refresh_token"]


async def test_logout_kills_the_chain(ana: Person, client: httpx2.AsyncClient, token: str) -> None:
    first = await refreshed(client, token)
    assert (await client.post(f"{API}/auth/logout", json={"refresh_token": first["refresh_token"]})).status_code == 204
    for each in (token, first["refresh_token"]):
        assert refused(await refresh(client, each)) == "SESSION_ENDED"
    for access_token in (ana.tokens["access_token"], first["access_token"]):
        assert refused(await me(client, access_token)) == "SESSION_ENDED"


async def test_a_crash_after_the_commit_does_not_lock_the_client_out(settings: Settings) -> None:
    async with asgi.Running(create_app(settings)) as first:
        client = httpx2.AsyncClient(transport=asgi.Transport(first), base_url="http://testserver")
        token = (await people.register(client)).tokens["refresh_token"]
        failpoints.set_action("db.after_commit", "raise")
        try:
            assert (await refresh(client, token)).status_code == 500
        finally:
            failpoints.set_action("db.after_commit", None)
    async with asgi.Running(create_app(settings)) as second:
        client = httpx2.AsyncClient(transport=asgi.Transport(second), base_url="http://testserver")
        assert await second.state["db"].reads.one(GENERATION) == 1
        pair = await refreshed(client, token)
        assert (await refresh(client, pair["refresh_token"])).status_code == 200


async def test_a_failing_commit_leaves_the_token_as_it_was(client: httpx2.AsyncClient, token: str) -> None:
    failpoints.set_action("db.before_commit", "raise")
    try:
        assert (await refresh(client, token)).status_code == 500
    finally:
        failpoints.set_action("db.before_commit", None)
    assert (await refresh(client, token)).status_code == 200


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_database_holds_nothing_that_can_be_used(
    ana: Person, client: httpx2.AsyncClient, token: str, database_url: str, mailbox: Mailbox
) -> None:
    pair = await refreshed(client, token)
    made = await ana.post("/users/me/tokens", {"name": "x", "scopes": ["account"]})
    await client.post(f"{API}/auth/password-reset", json={"email": "ana@example.com"})
    assert len(await mailbox.to("ana@example.com")) == 2, "what was to be sent is sent"
    with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"))) as connection:
        dump = "\n".join(connection.iterdump())
    for secret in (token, pair["refresh_token"], pair["access_token"], made.json()["token"], PASSWORD):
        assert secret not in dump
        assert secret[4:40] not in dump
    assert "dbm_" not in dump


async def test_a_session_ends_after_thirty_idle_days(client: httpx2.AsyncClient, token: str, wait: Wait) -> None:
    wait(dt.timedelta(days=29, hours=23))
    pair = await refreshed(client, token)
    wait(dt.timedelta(days=29, hours=23))
    pair = await refreshed(client, pair["refresh_token"])
    wait(dt.timedelta(days=30))
    assert refused(await refresh(client, pair["refresh_token"])) == "SESSION_ENDED"


async def test_a_session_ends_after_180_days_however_busy(
    client: httpx2.AsyncClient,
    token: str,
    wait: Wait,
) -> None:
    for _ in range(8):
        wait(dt.timedelta(days=20))
        token = (await refreshed(client, token))["refresh_token"]
    wait(dt.timedelta(days=19, hours=23, minutes=55))
    pair = await refreshed(client, token)
    assert (await me(client, pair["access_token"])).status_code == 200
    wait(dt.timedelta(minutes=6))
    assert refused(await me(client, pair["access_token"])) == "SESSION_ENDED"
    assert refused(await refresh(client, pair["refresh_token"])) == "SESSION_ENDED"


@pytest.mark.parametrize("column", ["disabled_at", "deleted_at"])
async def test_a_user_who_may_not_enter_cannot_refresh(
    client: httpx2.AsyncClient, token: str, db: Database, column: str
) -> None:
    async with db.transaction() as tx:
        await tx.execute(update(users).values({column: users.c.created_at}))
    assert refused(await refresh(client, token)) == "UNAUTHENTICATED"


async def test_a_forged_token_ends_no_session(client: httpx2.AsyncClient, token: str, db: Database) -> None:
    forged = [token[:-1] + ("A" if token[-1] != "A" else "B"), f"{token}A", "dbr_", "dbr_" + "A" * 75, "é" * 79]
    assert [refused(await refresh(client, each)) for each in forged] == ["UNAUTHENTICATED"] * 5
    assert await db.reads.one(REVOKED_AT) is None
    assert (await refresh(client, token)).status_code == 200


async def test_an_access_token_is_no_refresh_token_and_the_reverse(
    ana: Person, client: httpx2.AsyncClient, token: str
) -> None:
    answer = await refresh(client, ana.tokens["access_token"])
    assert answer.status_code in {401, 422}
    assert refused(await me(client, token)) == "UNAUTHENTICATED"
