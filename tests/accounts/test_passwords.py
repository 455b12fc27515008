"""Changing a password, and replacing a forgotten one."""

import asyncio
import datetime as dt
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select, update

from doable.accounts.tables import mailed_tokens, sessions, users
from doable.core.db import Database
from doable.core.passwords import Hasher
from doable.core.queries import query, scalar
from doable.settings import Settings
from tests.support import asgi
from tests.support.accounts import Mailbox, Wait, without_id
from tests.support.people import API, PASSWORD, Person

NEW = "a short swim in the lake 43"
TOKENS = query(scalar, select(func.count().label("count")).select_from(mailed_tokens))


async def login(client: httpx2.AsyncClient, password: str, name: str = "ana") -> httpx2.Response:
    return await client.post(f"{API}/auth/login", json={"login": name, "password": password})


def change(current: str = PASSWORD, **members: Any) -> dict[str, Any]:
    return {"current_password": current, "password": NEW, "confirm_password": NEW, **members}


async def ask(client: httpx2.AsyncClient, email: str = "ana@example.com", **headers: str) -> httpx2.Response:
    return await client.post(f"{API}/auth/password-reset", json={"email": email}, headers=headers)


async def confirm(client: httpx2.AsyncClient, token: str, password: str = NEW) -> httpx2.Response:
    body = {"token": token, "password": password, "confirm_password": password}
    return await client.post(f"{API}/auth/password-reset/confirm", json=body)


async def test_a_changed_password_ends_the_other_sessions_and_keeps_api_tokens(
    ana: Person, client: httpx2.AsyncClient
) -> None:
    other = Person(client, ana.user, (await login(client, PASSWORD)).json())
    made = (await ana.post("/users/me/tokens", {"name": "x", "scopes": ["account"]})).json()
    answer = await ana.put("/users/me/password", change())
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await ana.get("/users/me")).status_code == 200
    assert (await other.get("/users/me")).json()["error"]["code"] == "SESSION_ENDED"
    refreshed = await client.post(f"{API}/auth/refresh", json={"refresh_token": other.tokens["refresh_token"]})
    assert refreshed.json()["error"]["code"] == "SESSION_ENDED"
    assert (await Person(client, {}, {"access_token": made["token"]}).get("/users/me")).status_code == 200
    assert (await login(client, PASSWORD)).status_code == 401
    assert (await login(client, NEW)).status_code == 200


async def test_a_changed_password_withdraws_a_reset_that_was_asked_for(
    ana: Person, client: httpx2.AsyncClient, mailbox: Mailbox
) -> None:
    await ask(client)
    token = await mailbox.token("ana@example.com", "new password")
    assert (await ana.put("/users/me/password", change())).status_code == 204
    assert (await confirm(client, token, PASSWORD)).status_code == 422


async def test_a_wrong_current_password_is_forbidden_and_slowed_down(
    ana: Person, client: httpx2.AsyncClient, hasher: Hasher, wait: Wait
) -> None:
    for _ in range(5):
        answer = await ana.put("/users/me/password", change("wrong"))
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN")
    before = hasher.hashed
    for send in (
        ana.put("/users/me/password", change()),
        ana.patch("/users/me", {"email": "new@example.com", "current_password": PASSWORD}),
        ana.request("DELETE", "/users/me", json={"current_password": PASSWORD}),
    ):
        answer = await send
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert hasher.hashed == before
    assert (await login(client, PASSWORD)).status_code == 200
    wait(dt.timedelta(seconds=1))
    assert (await ana.put("/users/me/password", change())).status_code == 204


async def test_what_is_no_change_of_a_password_is_not_acceptable(ana: Person, hasher: Hasher) -> None:
    before = hasher.hashed
    for field, body in (
        ("body.confirm_password", change(confirm_password=PASSWORD)),
        ("body.password", change(password="password1234", confirm_password="password1234")),
        ("body.current_password", {"password": NEW, "confirm_password": NEW}),
        ("body.is_admin", change(is_admin=True)),
    ):
        answer = await ana.put("/users/me/password", body)
        assert answer.status_code == 422
        assert [detail["field"] for detail in answer.json()["error"]["details"]] == [field]
    assert hasher.hashed == before


@pytest.mark.usefixtures("ana", "bruno")
async def test_asking_for_a_reset_says_the_same_of_every_address(
    client: httpx2.AsyncClient, mailbox: Mailbox, hasher: Hasher, db: Database
) -> None:
    async with db.transaction() as tx:
        await tx.execute(update(users).where(users.c.username == "bruno").values(disabled_at=users.c.created_at))
    before = hasher.hashed
    answers = [await ask(client, f"{name}@example.com") for name in ("ana", "ANA", "bruno", "nobody")]
    assert [(answer.status_code, answer.content) for answer in answers] == [(202, b"")] * 4
    fixed = [{k: v for k, v in a.headers.items() if k not in {"x-request-id", "date"}} for a in answers]
    assert all(
        {k: v for k, v in headers.items() if not k.startswith("ratelimit-re")}
        == {k: v for k, v in fixed[0].items() if not k.startswith("ratelimit-re")}
        for headers in fixed
    )
    assert hasher.hashed == before
    resets = {
        name: [mail for mail in await mailbox.to(f"{name}@example.com") if "new password" in mail]
        for name in ("ana", "bruno", "nobody")
    }
    assert {name: len(mails) for name, mails in resets.items()} == {"ana": 2, "bruno": 0, "nobody": 0}


async def test_a_reset_sets_the_password_once_and_ends_all_sessions(
    ana: Person, client: httpx2.AsyncClient, mailbox: Mailbox, settings: Settings
) -> None:
    await ask(client, **{"X-Forwarded-Host": "evil.example"})
    token = await mailbox.token("ana@example.com", "new password")
    assert f"{settings.public_url}/reset-password#token={token}" in (await mailbox.to("ana@example.com"))[-1]
    assert (await confirm(client, token)).status_code == 204
    second = await confirm(client, token, PASSWORD)
    assert second.status_code == 422
    assert [detail["field"] for detail in second.json()["error"]["details"]] == ["body.token"]
    assert (await ana.get("/users/me")).json()["error"]["code"] == "SESSION_ENDED"
    assert (await login(client, PASSWORD)).status_code == 401
    answer = await login(client, NEW)
    assert (await Person(client, {}, answer.json()).get("/users/me")).json()["email_verified"] is True


async def test_a_session_that_ends_while_its_password_is_hashed_changes_nothing(
    ana: Person, client: httpx2.AsyncClient, db: Database, hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_ = hasher.hash

    async def slow(password: str, **options: Any) -> str:
        hashed = await hash_(password, **options)
        async with db.transaction() as tx:
            await tx.execute(update(sessions).values(revoked_at=sessions.c.created_at))
        return hashed

    monkeypatch.setattr(hasher, "hash", slow)
    answer = await ana.put("/users/me/password", change())
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "SESSION_ENDED")
    assert (await login(client, PASSWORD)).status_code == 200


async def test_an_account_that_is_disabled_while_its_password_is_hashed_keeps_it(
    ana: Person, db: Database, hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_ = hasher.hash
    stored = query(scalar, select(users.c.password_hash))
    before = await db.reads.one(stored)

    async def slow(password: str, **options: Any) -> str:
        hashed = await hash_(password, **options)
        async with db.transaction() as tx:
            await tx.execute(update(users).values(disabled_at=users.c.created_at))
        return hashed

    monkeypatch.setattr(hasher, "hash", slow)
    answer = await ana.put("/users/me/password", change())
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHENTICATED")
    assert await db.reads.one(stored) == before


async def test_who_takes_over_an_address_leaves_no_program_of_whoever_claimed_it(
    ana: Person, client: httpx2.AsyncClient, mailbox: Mailbox
) -> None:
    """Somebody registers the address of somebody else, makes himself a token, and waits."""
    made = (await ana.post("/users/me/tokens", {"name": "x", "scopes": ["account"]})).json()
    program = Person(client, {}, {"access_token": made["token"]})
    assert (await program.get("/users/me")).status_code == 200
    await ask(client)
    await confirm(client, await mailbox.token("ana@example.com", "new password"))
    assert (await program.get("/users/me")).status_code == 401
    owner = Person(client, {}, (await login(client, NEW)).json())
    made = (await owner.post("/users/me/tokens", {"name": "x", "scopes": ["account"]})).json()
    await ask(client)
    await confirm(client, await mailbox.token("ana@example.com", "new password"), PASSWORD)
    assert (await Person(client, {}, {"access_token": made["token"]}).get("/users/me")).status_code == 401


async def test_a_verified_address_leaves_no_program_of_the_time_before(
    ana: Person, client: httpx2.AsyncClient, mailbox: Mailbox
) -> None:
    made = (await ana.post("/users/me/tokens", {"name": "x", "scopes": ["account"]})).json()
    token = await mailbox.token("ana@example.com", "Confirm")
    assert (await client.post(f"{API}/auth/verify-email", json={"token": token})).status_code == 204
    assert (await Person(client, {}, {"access_token": made["token"]}).get("/users/me")).status_code == 401
    assert (await ana.get("/users/me")).status_code == 200, "who registered, logged in and clicked stays logged in"


@pytest.mark.usefixtures("ana")
async def test_a_reset_helps_whoever_is_locked_out_by_guessers(client: httpx2.AsyncClient, mailbox: Mailbox) -> None:
    for _ in range(5):
        await login(client, "wrong")
    assert (await login(client, PASSWORD)).status_code == 429
    await ask(client)
    await confirm(client, await mailbox.token("ana@example.com", "new password"))
    assert (await login(client, NEW)).status_code == 200


@pytest.mark.usefixtures("ana")
async def test_of_two_resets_at_once_one_wins(client: httpx2.AsyncClient, mailbox: Mailbox) -> None:
    await ask(client)
    token = await mailbox.token("ana@example.com", "new password")
    passwords = [f"{NEW} {n}" for n in range(5)]
    answers = await asyncio.gather(*(confirm(client, token, password) for password in passwords))
    assert sorted(answer.status_code for answer in answers) == [204, 422, 422, 422, 422]
    works = [(await login(client, password)).status_code == 200 for password in passwords]
    assert works == [answer.status_code == 204 for answer in answers]


@pytest.mark.usefixtures("ana")
async def test_a_newer_link_replaces_the_older(client: httpx2.AsyncClient, mailbox: Mailbox) -> None:
    await ask(client)
    old = await mailbox.token("ana@example.com", "new password")
    await ask(client)
    new = await mailbox.token("ana@example.com", "new password")
    assert (await confirm(client, old)).status_code == 422
    assert (await confirm(client, new)).status_code == 204


@pytest.mark.usefixtures("ana")
async def test_requests_at_once_leave_one_link(client: httpx2.AsyncClient, db: Database) -> None:
    before = await db.reads.one(TOKENS)
    answers = await asyncio.gather(*(ask(client) for _ in range(3)))
    assert {answer.status_code for answer in answers} == {202}
    assert await db.reads.one(TOKENS) == before + 1


@pytest.mark.usefixtures("ana")
async def test_a_link_is_good_for_ten_minutes(
    client: httpx2.AsyncClient, mailbox: Mailbox, wait: Wait, hasher: Hasher
) -> None:
    await ask(client)
    token = await mailbox.token("ana@example.com", "new password")
    wait(dt.timedelta(minutes=10, seconds=1))
    before = hasher.hashed
    assert (await confirm(client, token)).status_code == 422
    assert hasher.hashed == before
    await ask(client)
    token = await mailbox.token("ana@example.com", "new password")
    wait(dt.timedelta(minutes=9, seconds=50))
    assert (await confirm(client, token)).status_code == 204


@pytest.mark.usefixtures("ana")
async def test_an_account_gets_three_mails_an_hour(client: httpx2.AsyncClient, mailbox: Mailbox) -> None:
    answers = [await ask(client, "ana@example.com" if n % 2 else "ANA@example.com") for n in range(5)]
    assert {answer.status_code for answer in answers} == {202}
    assert len([mail for mail in await mailbox.to("ana@example.com") if "new password" in mail]) == 3


@pytest.mark.usefixtures("ana")
async def test_a_stranger_does_not_use_up_the_resets_of_its_owner(
    client: httpx2.AsyncClient, running: asgi.Running, mailbox: Mailbox
) -> None:
    transport = asgi.Transport(running, client=("198.51.100.7", 5))
    async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as stranger:
        for _ in range(5):
            await ask(stranger)
    await ask(client)
    assert len([mail for mail in await mailbox.to("ana@example.com") if "new password" in mail]) == 4


@pytest.mark.usefixtures("ana")
async def test_a_reset_does_not_let_a_disabled_user_in(
    client: httpx2.AsyncClient, mailbox: Mailbox, db: Database
) -> None:
    await ask(client)
    token = await mailbox.token("ana@example.com", "new password")
    async with db.transaction() as tx:
        await tx.execute(update(users).values(disabled_at=users.c.created_at))
    assert (await confirm(client, token)).status_code == 422
    assert (await login(client, NEW)).status_code == 401


@pytest.mark.usefixtures("ana")
async def test_a_token_is_good_for_its_purpose_only(client: httpx2.AsyncClient, mailbox: Mailbox) -> None:
    await ask(client)
    verify = await mailbox.token("ana@example.com", "Confirm")
    reset = await mailbox.token("ana@example.com", "new password")
    assert (await confirm(client, verify)).status_code == 422
    assert (await client.post(f"{API}/auth/verify-email", json={"token": reset})).status_code == 422
    assert (await client.post(f"{API}/auth/verify-email", json={"token": verify})).status_code == 204
    assert (await confirm(client, reset)).status_code == 204


@pytest.mark.usefixtures("ana", "bruno")
async def test_a_verification_is_good_for_a_day(client: httpx2.AsyncClient, mailbox: Mailbox, wait: Wait) -> None:
    wait(dt.timedelta(hours=23, minutes=59))
    token = await mailbox.token("ana@example.com", "Confirm")
    assert (await client.post(f"{API}/auth/verify-email", json={"token": token})).status_code == 204
    wait(dt.timedelta(minutes=2))
    token = await mailbox.token("bruno@example.com", "Confirm")
    assert (await client.post(f"{API}/auth/verify-email", json={"token": token})).status_code == 422


@pytest.mark.usefixtures("ana")
async def test_a_weak_new_password_does_not_use_the_link_up(client: httpx2.AsyncClient, mailbox: Mailbox) -> None:
    await ask(client)
    token = await mailbox.token("ana@example.com", "new password")
    assert (await confirm(client, token, "password1234")).status_code == 422
    assert (await confirm(client, token)).status_code == 204


@pytest.mark.parametrize("token", ["", "dbm_", "x" * 201, "dbm_" + "A" * 43])
async def test_an_invented_token_is_refused_without_hashing(
    client: httpx2.AsyncClient, hasher: Hasher, token: str
) -> None:
    answers = [await confirm(client, token), await client.post(f"{API}/auth/verify-email", json={"token": token})]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert without_id(answers[0])["error"]["code"] == "VALIDATION_ERROR"
    assert hasher.hashed == 0
