"""Beginning a session: what it gives, what it tells a guesser, and how guessing is slowed down."""

import asyncio
import datetime as dt
import json
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import func, select, update

from doable.accounts import attempts as counters
from doable.accounts.operations import sessions as session_operations
from doable.accounts.tables import attempts, sessions, users
from doable.app import create_app
from doable.core import clock, telemetry
from doable.core.db import Database
from doable.core.errors import AppException, Code
from doable.core.passwords import Hasher
from doable.core.queries import query, scalar
from doable.settings import Settings
from tests.support import asgi, people
from tests.support.accounts import Wait, without_id
from tests.support.people import API, PASSWORD, Person

WRONG = "not the right one at all"
FAILURES = query(scalar, select(attempts.c.failures))
LIVE = query(scalar, select(func.count().label("count")).select_from(sessions).where(sessions.c.revoked_at.is_(None)))


async def login(client: httpx2.AsyncClient, login: str, password: str = PASSWORD, **headers: str) -> httpx2.Response:
    return await client.post(f"{API}/auth/login", json={"login": login, "password": password}, headers=headers)


async def disable(db: Database, username: str) -> None:
    async with db.transaction() as tx:
        await tx.execute(update(users).where(users.c.username == username).values(disabled_at=users.c.created_at))


@pytest.mark.parametrize("name", ["ana", "ANA", "ana@example.com", "Ana@EXAMPLE.com", "\uff21na", " ana "])
async def test_login_by_username_or_address_however_they_are_written(
    ana: Person, client: httpx2.AsyncClient, name: str
) -> None:
    answer = await login(client, name)
    pair = answer.json()
    assert answer.status_code == 200, answer.text
    assert pair.keys() == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert (pair["token_type"], pair["expires_in"]) == ("bearer", 30 * 60)
    me = await client.get(f"{API}/users/me", headers={"Authorization": f"Bearer {pair['access_token']}"})
    assert me.json() == ana.user


@pytest.mark.usefixtures("ana", "bruno")
async def test_unknown_wrong_disabled_and_deleted_look_and_cost_the_same(
    client: httpx2.AsyncClient, db: Database, hasher: Hasher
) -> None:
    carla = await people.register(client, "carla")
    await disable(db, "bruno")
    gone = await carla.request("DELETE", "/users/me", json={"current_password": PASSWORD})
    assert gone.status_code == 204, gone.text
    answers, work = [], []
    for name, password in [
        ("nobody", WRONG),
        ("ana", WRONG),
        ("bruno", WRONG),
        ("bruno", PASSWORD),
        ("carla", PASSWORD),
        ("deleted", PASSWORD),
        ("nobody@example.com", PASSWORD),
        ("bruno@example.com", PASSWORD),
    ]:
        before = hasher.hashed
        answers.append(without_id(await login(client, name, password)))
        work.append(hasher.hashed - before)
    assert answers[0]["status"] == 401
    assert answers[0]["error"]["code"] == "INVALID_CREDENTIALS"
    assert all(answer == answers[0] for answer in answers)
    assert set(work) == {1}


@pytest.mark.parametrize("name", ["ana", "nobody"])
@pytest.mark.usefixtures("ana")
async def test_after_five_failures_a_name_has_to_wait(
    client: httpx2.AsyncClient, hasher: Hasher, db: Database, standstill: Wait, name: str
) -> None:
    answers = [(await login(client, name, WRONG)).status_code for _ in range(5)]
    assert answers == [401] * 5
    before = hasher.hashed
    refused = await login(client, name)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "RATE_LIMITED")
    assert refused.headers["Retry-After"] == "1"
    assert hasher.hashed == before
    assert await db.reads.all(FAILURES) == [5, 5]
    waits = []
    for _ in range(12):
        standstill(dt.timedelta(seconds=int((await login(client, name, WRONG)).headers["Retry-After"])))
        assert (await login(client, name, WRONG)).status_code == 401
        waits.append(int((await login(client, name, WRONG)).headers["Retry-After"]))
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]


@pytest.mark.usefixtures("ana")
async def test_success_forgets_the_failures(client: httpx2.AsyncClient, db: Database) -> None:
    for _ in range(4):
        await login(client, "ana", WRONG)
    assert (await login(client, "ana")).status_code == 200
    assert await db.reads.all(FAILURES) == []


@pytest.mark.usefixtures("ana")
async def test_failures_are_forgotten_after_a_day(client: httpx2.AsyncClient, wait: Wait) -> None:
    for _ in range(4):
        await login(client, "ana", WRONG)
    wait(dt.timedelta(days=1, seconds=1))
    assert [(await login(client, "ana", WRONG)).status_code for _ in range(2)] == [401, 401]
    assert (await login(client, "ana")).status_code == 200


@pytest.mark.usefixtures("ana")
async def test_a_name_has_one_counter_however_it_is_written(client: httpx2.AsyncClient) -> None:
    names = ["ana@example.com", "ANA@example.com", "Ana@Example.com", "\uff21na@example.com", "ana@EXAMPLE.com"]
    assert [(await login(client, name, WRONG)).status_code for name in names] == [401] * 5
    assert (await login(client, "ana@example.com")).status_code == 429
    assert (await login(client, "bruno")).status_code == 401


async def test_waiting_does_not_tell_which_names_are_one_persons(
    ana: Person, bruno: Person, client: httpx2.AsyncClient
) -> None:
    for _ in range(6):
        await login(client, "ana", WRONG)
        await login(client, bruno.user["id"], WRONG)
        await login(client, ana.user["id"], WRONG)
    assert [(await login(client, name)).status_code for name in ("ana@example.com", "bruno")] == [200, 200]
    assert (await ana.patch("/users/me", {"email": "x@example.com", "current_password": PASSWORD})).status_code == 200


@pytest.mark.usefixtures("ana")
async def test_a_stranger_locks_only_his_own_network_out(
    client: httpx2.AsyncClient, running: asgi.Running, wait: Wait
) -> None:
    transport = asgi.Transport(running, client=("198.51.100.7", 5))
    async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as stranger:
        for _ in range(100):
            assert (await login(stranger, "ana", WRONG)).status_code in {401, 429}
            wait(dt.timedelta(minutes=1))
        assert (await login(stranger, "ana")).status_code == 429
        assert (await login(client, "ana")).status_code == 200


@pytest.mark.usefixtures("ana")
async def test_many_networks_together_have_to_wait_as_well(
    client: httpx2.AsyncClient, running: asgi.Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "FREE_EVERYWHERE", 6)
    for n in range(6):
        transport = asgi.Transport(running, client=(f"198.51.{n}.7", 5))
        async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as bot:
            assert (await login(bot, "ana", WRONG)).status_code == 401
    assert (await login(client, "ana")).status_code == 429
    assert (await login(client, "ana@example.com")).status_code == 200


def test_one_network_alone_does_not_reach_the_limit_of_all() -> None:
    failures, passed = 0, dt.timedelta()
    counter = counters.login_counters("ana", "192.0.2.0/24")[0]
    while passed < dt.timedelta(days=1):
        failures += 1
        passed += counters._delay(counter, failures)
    assert failures < counters.FREE_EVERYWHERE


@pytest.mark.usefixtures("ana")
async def test_a_clock_that_is_put_back_keeps_nobody_waiting(client: httpx2.AsyncClient, wait: Wait) -> None:
    for _ in range(5):
        await login(client, "ana", WRONG)
    wait(dt.timedelta(hours=-6))
    assert (await login(client, "ana")).status_code == 200


async def test_a_counter_that_is_made_and_reset_at_once_never_fails(db: Database) -> None:
    pair = counters.login_counters("ana", "192.0.2.0/24")

    async def come_and_go() -> None:
        for _ in range(30):
            with suppress(AppException):
                await counters.count(db, *pair)
            async with db.transaction() as tx:
                await counters.reset(tx, *pair)

    await asyncio.gather(*(come_and_go() for _ in range(6)))


@pytest.mark.parametrize("name", ["ana", "nobody"])
@pytest.mark.usefixtures("ana")
async def test_guesses_at_once_do_not_pass_together(
    client: httpx2.AsyncClient, hasher: Hasher, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = hasher.hashed
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    answers = await asyncio.gather(*(login(client, name, f"guess number {n}") for n in range(40)))
    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 35
    assert hasher.hashed - before == 5


@pytest.mark.usefixtures("ana")
async def test_forged_addresses_do_not_help(client: httpx2.AsyncClient) -> None:
    answers = [
        await login(
            client,
            "ana",
            WRONG,
            **{"X-Forwarded-For": f"192.0.2.{n}", "X-Real-IP": f"192.0.2.{n}", "Forwarded": f"for=192.0.2.{n}"},
        )
        for n in range(6)
    ]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]


async def test_failures_outlive_the_process(settings: Settings) -> None:
    async with asgi.Running(create_app(settings)) as first:
        client = httpx2.AsyncClient(transport=asgi.Transport(first), base_url="http://testserver")
        await people.register(client)
        for _ in range(5):
            await login(client, "ana", WRONG)
    async with asgi.Running(create_app(settings)) as second:
        assert await second.state["db"].reads.all(FAILURES) == [5, 5]


async def test_strangers_do_not_lock_a_live_session_out(ana: Person, client: httpx2.AsyncClient) -> None:
    for _ in range(6):
        await login(client, "ana", WRONG)
    assert (await login(client, "ana")).status_code == 429
    assert (await ana.get("/users/me")).status_code == 200
    change = {"email": "new@example.com", "current_password": PASSWORD}
    assert (await ana.patch("/users/me", change)).status_code == 200
    refreshed = await client.post(f"{API}/auth/refresh", json={"refresh_token": ana.tokens["refresh_token"]})
    assert refreshed.status_code == 200


@pytest.mark.usefixtures("ana")
async def test_a_server_that_is_too_busy_to_compare_counts_no_failure(
    client: httpx2.AsyncClient, hasher: Hasher, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hasher, "_queue_limit", 0)
    answers = [await login(client, "ana") for _ in range(6)]
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.headers["Retry-After"] for answer in answers} == {"1"}
    assert await db.reads.all(FAILURES) == [0, 0]
    monkeypatch.undo()
    assert (await login(client, "ana")).status_code == 200


@pytest.mark.usefixtures("true_cost", "ana")
async def test_a_hash_of_other_parameters_is_renewed(client: httpx2.AsyncClient, db: Database) -> None:
    old = PasswordHash((Argon2Hasher(memory_cost=8, time_cost=1, parallelism=1),)).hash(PASSWORD)
    async with db.transaction() as tx:
        await tx.execute(update(users).values(password_hash=old))
    answers = await asyncio.gather(login(client, "ana"), login(client, "ana"))
    assert [answer.status_code for answer in answers] == [200, 200]
    stored = await db.reads.one(query(scalar, select(users.c.password_hash)))
    assert "m=19456,t=2,p=1" in str(stored)
    assert (await login(client, "ana")).status_code == 200


@pytest.mark.usefixtures("ana")
async def test_a_password_changed_while_it_is_compared_is_wrong(
    client: httpx2.AsyncClient, hasher: Hasher, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = hasher.verify

    async def slow(password: str, stored: str | None, **options: Any) -> Any:
        verified = await verify(password, stored, **options)
        async with db.transaction() as tx:
            await tx.execute(update(users).values(password_hash="another", updated_at=dt.datetime.now(dt.UTC)))
        return verified

    monkeypatch.setattr(hasher, "verify", slow)
    answer = await login(client, "ana")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "INVALID_CREDENTIALS")


async def test_a_session_remembers_where_it_began(ana: Person, client: httpx2.AsyncClient) -> None:
    await login(client, "ana", **{"User-Agent": f"a\x1b[31m{'b' * 300}"})
    (newest, _) = (await ana.get("/auth/sessions")).json()["items"]
    assert newest["ip"] == "127.0.0.1"
    assert len(newest["user_agent"]) == 200
    assert "\x1b" not in newest["user_agent"]


async def test_the_log_says_who_came_in_and_from_where_somebody_did_not(
    ana: Person, client: httpx2.AsyncClient, capfd: pytest.CaptureFixture[str]
) -> None:
    pair = (await login(client, "ana")).json()
    await client.post(f"{API}/auth/refresh", json={"refresh_token": pair["refresh_token"]})
    await login(client, "ana", WRONG)
    telemetry.flush()
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if "/auth/" in line]
    assert [(line["route"].rpartition("/")[2], line["status"], line["user"]) for line in lines[-3:]] == [
        ("login", 200, ana.user["id"]),
        ("refresh", 200, ana.user["id"]),
        ("login", 401, None),
    ]
    assert {line["client"] for line in lines} == {"127.0.0.1"}


async def test_a_user_has_a_bounded_number_of_sessions(
    ana: Person, client: httpx2.AsyncClient, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_operations, "KEPT", 3)
    for _ in range(4):
        await login(client, "ana")
    assert await db.reads.one(LIVE) == 3
    assert (await ana.get("/users/me")).json()["error"]["code"] == Code.SESSION_ENDED


async def test_ended_sessions_are_forgotten_by_later_logins(
    ana: Person, client: httpx2.AsyncClient, db: Database, wait: Wait
) -> None:
    await client.post(f"{API}/auth/logout", json={"refresh_token": ana.tokens["refresh_token"]})
    wait(dt.timedelta(days=1, seconds=1))
    await login(client, "ana")
    count = query(scalar, select(func.count().label("count")).select_from(sessions))
    assert await db.reads.one(count) == 1


@pytest.mark.parametrize("never_set", ["", "x" * 129, "abc\x00defgh", "x" * 4096])
@pytest.mark.usefixtures("ana")
async def test_a_password_that_nobody_can_have_is_wrong(
    client: httpx2.AsyncClient, hasher: Hasher, never_set: str
) -> None:
    before = hasher.hashed
    answer = await login(client, "ana", never_set)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "INVALID_CREDENTIALS")
    assert hasher.hashed == before + 1


@pytest.mark.parametrize(
    "body",
    [
        {"login": "ana"},
        {"login": "ana", "password": PASSWORD, "remember": True},
        {"login": 7, "password": PASSWORD},
        {"login": "ana", "password": "x" * 4097},
        {"login": "a" * 255, "password": PASSWORD},
    ],
)
async def test_what_is_no_login_is_not_acceptable(
    client: httpx2.AsyncClient, hasher: Hasher, body: dict[str, Any]
) -> None:
    assert (await client.post(f"{API}/auth/login", json=body)).status_code == 422
    assert hasher.hashed == 0
