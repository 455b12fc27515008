"""Becoming a user."""

import asyncio
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select

from doable.accounts.tables import users
from doable.core.db import Database
from doable.core.passwords import Hasher
from doable.core.queries import query, scalar
from doable.settings import Settings
from tests.support import databases
from tests.support.accounts import Mailbox
from tests.support.people import API, PASSWORD, Person

KEYS = {
    "id",
    "email",
    "username",
    "email_verified",
    "timezone",
    "is_admin",
    "inbox_id",
    "disabled_at",
    "created_at",
    "updated_at",
}
COUNT = query(scalar, select(func.count().label("count")).select_from(users))


def form(**members: Any) -> dict[str, Any]:
    return {
        "email": "ana@example.com",
        "username": "ana",
        "password": PASSWORD,
        "confirm_password": PASSWORD,
        **members,
    }


async def test_a_new_user_is_shown_whole(client: httpx2.AsyncClient) -> None:
    answer = await client.post(f"{API}/users", json=form(email="Ana@Example.com", username="Ana"))
    user = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"{API}/users/me"
    assert user.keys() == KEYS
    assert (user["email"], user["username"], user["email_verified"], user["is_admin"]) == (
        "Ana@Example.com",
        "Ana",
        False,
        False,
    )
    assert user["disabled_at"] is None
    assert len(user["created_at"]) == 24
    assert user["timezone"] == "UTC"


async def test_a_new_user_has_an_inbox(ana: Person) -> None:
    lists = (await ana.get("/lists")).json()["items"]
    assert [(one["id"], one["is_inbox"]) for one in lists] == [(ana.inbox_id, True)]


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"username": "other"}, "EMAIL_TAKEN"),
        ({"username": "other", "email": "ANA@Example.COM"}, "EMAIL_TAKEN"),
        ({"email": "other@example.com"}, "USERNAME_TAKEN"),
        ({"email": "other@example.com", "username": "ANA"}, "USERNAME_TAKEN"),
    ],
)
@pytest.mark.usefixtures("ana")
async def test_what_somebody_else_has_is_taken(client: httpx2.AsyncClient, members: dict[str, str], code: str) -> None:
    answer = await client.post(f"{API}/users", json=form(**members))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, code)


@pytest.mark.usefixtures("ana")
async def test_the_owner_of_an_address_hears_who_tried_it(client: httpx2.AsyncClient, mailbox: Mailbox) -> None:
    before = len(await mailbox.to("ana@example.com"))
    await client.post(f"{API}/users", json=form(username="other"))
    await client.post(f"{API}/users", json=form(email="other@example.com"))
    mails = (await mailbox.to("ana@example.com"))[before:]
    assert len(mails) == 1
    assert "tried to register" in mails[0]
    assert await mailbox.to("other@example.com") == []


async def test_of_equal_registrations_at_once_one_succeeds(client: httpx2.AsyncClient, db: Database) -> None:
    answers = await asyncio.gather(*(client.post(f"{API}/users", json=form()) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert await db.reads.one(COUNT) == 1


async def test_only_what_is_asked_for_can_be_sent(client: httpx2.AsyncClient, db: Database) -> None:
    for member in (
        "id", "is_admin", "role", "inbox_id", "created_at", "disabled_at", "password_hash", "email_verified",
    ):  # fmt: skip
        answer = await client.post(f"{API}/users", json=form(**{member: True}))
        assert answer.status_code == 422
        assert [detail["field"] for detail in answer.json()["error"]["details"]] == [f"body.{member}"]
    assert await db.reads.one(COUNT) == 0


async def test_what_is_not_acceptable_is_named(client: httpx2.AsyncClient) -> None:
    for field, members in (
        ("confirm_password", {"confirm_password": f"{PASSWORD} "}),
        ("password", {"password": "password1234", "confirm_password": "password1234"}),
        ("password", {"password": "short", "confirm_password": "short"}),
        ("password", {"password": "ana-2026-x", "confirm_password": "ana-2026-x"}),
        ("password", {"username": "longername", "password": "longername1", "confirm_password": "longername1"}),
        ("email", {"email": "ana@example.com\n"}),
        ("email", {"email": "a..b@c.d"}),
        ("username", {"username": "a@b"}),
        ("username", {"username": "an"}),
        ("username", {"username": "a" * 51}),
        ("username", {"username": 7}),
    ):
        answer = await client.post(f"{API}/users", json=form(**members))
        assert answer.status_code == 422
        assert [detail["field"] for detail in answer.json()["error"]["details"]] == [f"body.{field}"]


async def test_a_huge_password_is_refused_without_hashing(client: httpx2.AsyncClient, hasher: Hasher) -> None:
    huge = "correct horse " * 30_000
    answer = await client.post(f"{API}/users", json=form(password=huge, confirm_password=huge))
    assert answer.status_code == 422
    assert hasher.hashed == 0


async def test_passwords_are_neither_cut_nor_trimmed(client: httpx2.AsyncClient) -> None:
    long = f" {'x1y2z3' * 21}"
    answer = await client.post(f"{API}/users", json=form(password=long, confirm_password=long))
    assert answer.status_code == 201, answer.text
    for wrong in (long.strip(), long[:-1], f"{long[:72]}{'q' * 55}"):
        answer = await client.post(f"{API}/auth/login", json={"login": "ana", "password": wrong})
        assert answer.status_code == 401
    assert (await client.post(f"{API}/auth/login", json={"login": "ana", "password": long})).status_code == 200


@pytest.mark.parametrize("settings", [{"registration": "invited"}, {"registration": "closed"}], indirect=True)
async def test_nobody_can_register_where_it_is_not_open(
    client: httpx2.AsyncClient, db: Database, hasher: Hasher
) -> None:
    answer = await client.post(f"{API}/users", json=form())
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN")
    assert await db.reads.one(COUNT) == 0
    assert hasher.hashed == 0


@pytest.mark.parametrize("settings", [{"rate_limit_per_minute": 2}], indirect=True)
async def test_what_is_taken_can_be_asked_a_few_times_an_hour(client: httpx2.AsyncClient) -> None:
    answers = [await client.post(f"{API}/users", json=form()) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 409, 429]
    assert int(answers[-1].headers["Retry-After"]) > 60
    assert (await client.post(f"{API}/auth/login", json={"login": "ana", "password": PASSWORD})).status_code == 200


@pytest.mark.usefixtures("ana", "bruno")
async def test_of_two_things_that_are_taken_the_address_is_named(client: httpx2.AsyncClient) -> None:
    for members in ({"email": "bruno@example.com"}, {"username": "bruno"}):
        answer = await client.post(f"{API}/users", json=form(**members))
        assert answer.json()["error"]["code"] == "EMAIL_TAKEN"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("ana@b\u00fccher.de", "ana@xn--bcher-kva.de"),
        ("ana@example.com", "ana@example\u3002com"),
        ("ana@example.com", "ana@EXAMPLE\uff0ecom"),
        ("strasse@example.com", "stra\u00dfe@example.com"),
    ],
)
async def test_one_address_registers_once_however_it_is_written(
    client: httpx2.AsyncClient, first: str, second: str
) -> None:
    assert (await client.post(f"{API}/users", json=form(email=first))).status_code == 201
    again = await client.post(f"{API}/users", json=form(email=second, username="other"))
    assert (again.status_code, again.json()["error"]["code"]) == (409, "EMAIL_TAKEN")
    login = await client.post(f"{API}/auth/login", json={"login": second, "password": PASSWORD})
    assert login.status_code == 200


@pytest.mark.usefixtures("ana")
async def test_strangers_can_have_a_few_mails_sent_to_an_address(
    client: httpx2.AsyncClient, mailbox: Mailbox, bruno: Person
) -> None:
    for n in range(10):
        await client.post(f"{API}/users", json=form(username=f"other{n}"))
        change = {"email": "victim@example.com", "current_password": PASSWORD}
        assert (await bruno.patch("/users/me", change)).status_code == 200
    assert len(await mailbox.to("ana@example.com")) == 5
    assert len(await mailbox.to("victim@example.com")) == 5
    await client.post(f"{API}/auth/password-reset", json={"email": "ana@example.com"})
    assert "new password" in (await mailbox.to("ana@example.com"))[-1], "what its owner needs has a budget of its own"


async def test_who_registers_again_and_again_while_the_database_fails_gets_his_mail_in_the_end(
    client: httpx2.AsyncClient, mailbox: Mailbox
) -> None:
    with databases.without_commits():
        for _ in range(6):
            assert (await client.post(f"{API}/users", json=form())).status_code == 503
    assert (await client.post(f"{API}/users", json=form())).status_code == 201
    assert len(await mailbox.to("ana@example.com")) == 1


async def test_the_mail_verifies_the_address_once(
    ana: Person, client: httpx2.AsyncClient, mailbox: Mailbox, settings: Settings
) -> None:
    token = await mailbox.token("ana@example.com", "Confirm")
    assert f"{settings.public_url}/verify-email#token={token}" in (await mailbox.to("ana@example.com"))[0]
    first = await client.post(f"{API}/auth/verify-email", json={"token": token})
    second = await client.post(f"{API}/auth/verify-email", json={"token": token})
    assert (first.status_code, second.status_code) == (204, 422)
    assert second.json()["error"]["details"][0]["field"] == "body.token"
    assert (await ana.get("/users/me")).json()["email_verified"] is True


async def test_a_link_says_the_public_url_whatever_the_client_says(
    client: httpx2.AsyncClient, mailbox: Mailbox, settings: Settings
) -> None:
    evil = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example"}
    await client.post(f"{API}/users", json=form(), headers=evil)
    (mail,) = await mailbox.to("ana@example.com")
    assert "evil" not in mail
    assert f"{settings.public_url}/verify-email#" in mail
