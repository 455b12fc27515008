"""What people change of themselves, and how they leave."""

import hashlib
import json
from typing import NamedTuple

import httpx2
import pytest
from sqlalchemy import select, update

from doable.accounts.tables import api_tokens, mailed_tokens, sessions, users
from doable.core import replies
from doable.core.db import Database
from doable.core.passwords import Hasher
from doable.core.queries import query, scalar
from tests.support import people
from tests.support.accounts import Mailbox
from tests.support.people import API, PASSWORD, Person


class _Remains(NamedTuple):
    email: str
    email_key: str | None
    username: str
    username_key: str | None
    password_hash: str | None


async def me(person: Person) -> dict[str, object]:
    found: dict[str, object] = (await person.get("/users/me")).json()
    return found


async def test_only_what_is_sent_changes(ana: Person) -> None:
    answer = await ana.patch("/users/me", {"timezone": "Europe/Zagreb"})
    assert answer.status_code == 200
    changed = answer.json()
    assert changed == {**ana.user, "timezone": "Europe/Zagreb", "updated_at": changed["updated_at"]}
    assert changed["updated_at"] > ana.user["updated_at"]
    assert await me(ana) == changed


async def test_a_change_of_nothing_changes_nothing(ana: Person) -> None:
    for body in ({}, {"timezone": "UTC"}, {"username": "ana"}, {"username": "ana", "timezone": "UTC"}):
        answer = await ana.patch("/users/me", body)
        assert (answer.status_code, answer.json()) == (200, ana.user)


async def test_what_cannot_be_changed_is_refused(ana: Person) -> None:
    for field, value in (
        ("is_admin", True),
        ("id", ana.user["id"]),
        ("role", "admin"),
        ("password", "x"),
        ("password_hash", "x"),
        ("email_verified", True),
        ("email_verified_at", None),
        ("disabled_at", None),
        ("inbox_id", ana.inbox_id),
        ("created_at", ana.user["created_at"]),
        ("username", None),
        ("username", "a@b"),
        ("timezone", None),
        ("timezone", "Mars/Olympus"),
        ("email", None),
    ):
        answer = await ana.patch("/users/me", {field: value})
        assert answer.status_code == 422, field
        assert answer.json()["error"]["details"][0]["field"] == f"body.{field}"
    assert await me(ana) == ana.user


@pytest.mark.usefixtures("bruno")
async def test_a_new_username_is_how_one_logs_in(ana: Person, client: httpx2.AsyncClient) -> None:
    taken = await ana.patch("/users/me", {"username": "BRUNO", "timezone": "Europe/Zagreb"})
    assert (taken.status_code, taken.json()["error"]["code"]) == (409, "USERNAME_TAKEN")
    assert await me(ana) == ana.user
    assert (await ana.patch("/users/me", {"username": "Annika"})).json()["username"] == "Annika"
    for name, status in (("annika", 200), ("ana", 401)):
        body = {"login": name, "password": PASSWORD}
        assert (await client.post(f"{API}/auth/login", json=body)).status_code == status


async def test_a_new_address_needs_the_password(ana: Person, hasher: Hasher) -> None:
    before = hasher.hashed
    missing = await ana.patch("/users/me", {"email": "new@example.com"})
    assert missing.status_code == 422
    assert missing.json()["error"]["details"][0]["field"] == "body.current_password"
    assert hasher.hashed == before
    wrong = await ana.patch("/users/me", {"email": "new@example.com", "current_password": "wrong"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (403, "FORBIDDEN")
    assert await me(ana) == ana.user


async def test_who_reads_the_database_cannot_guess_at_a_password_by_an_answer_that_is_kept(
    ana: Person, db: Database
) -> None:
    body = json.dumps({"email": "new@example.com", "current_password": PASSWORD}).encode()
    headers = {**ana.headers, "Idempotency-Key": "once", "Content-Type": "application/json"}
    answers = [await ana.client.patch(f"{API}/users/me", content=body, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[1].headers["idempotent-replayed"] == "true"
    kept = await db.reads.one(query(scalar, select(replies.table.c.fingerprint)))
    assert kept != hashlib.sha256(f"PATCH {API}/users/me \n".encode() + body).digest()


async def test_a_new_address_is_verified_again_and_the_old_one_is_told(
    ana: Person, client: httpx2.AsyncClient, mailbox: Mailbox
) -> None:
    old = await mailbox.token("ana@example.com", "Confirm")
    await client.post(f"{API}/auth/verify-email", json={"token": old})
    answer = await ana.patch("/users/me", {"email": "Annika@example.com", "current_password": PASSWORD})
    assert answer.status_code == 200
    assert (answer.json()["email"], answer.json()["email_verified"]) == ("Annika@example.com", False)
    assert "has changed" in (await mailbox.to("ana@example.com"))[-1]
    new = await mailbox.token("Annika@example.com", "Confirm")
    assert (await client.post(f"{API}/auth/verify-email", json={"token": new})).status_code == 204
    assert (await me(ana))["email_verified"] is True
    body = {"login": "annika@EXAMPLE.com", "password": PASSWORD}
    assert (await client.post(f"{API}/auth/login", json=body)).status_code == 200


async def test_an_old_link_does_not_verify_a_new_address(
    ana: Person, client: httpx2.AsyncClient, mailbox: Mailbox
) -> None:
    await client.post(f"{API}/auth/password-reset", json={"email": "ana@example.com"})
    verify = await mailbox.token("ana@example.com", "Confirm")
    reset = await mailbox.token("ana@example.com", "new password")
    await ana.patch("/users/me", {"email": "new@example.com", "current_password": PASSWORD})
    assert (await client.post(f"{API}/auth/verify-email", json={"token": verify})).status_code == 422
    body = {"token": reset, "password": "quite another one 7", "confirm_password": "quite another one 7"}
    assert (await client.post(f"{API}/auth/password-reset/confirm", json=body)).status_code == 422
    assert (await me(ana))["email_verified"] is False


async def test_an_address_that_is_only_written_otherwise_stays_verified(
    ana: Person, client: httpx2.AsyncClient, mailbox: Mailbox
) -> None:
    token = await mailbox.token("ana@example.com", "Confirm")
    await client.post(f"{API}/auth/verify-email", json={"token": token})
    before = len(await mailbox.to("ana@example.com"))
    answer = await ana.patch("/users/me", {"email": "Ana@Example.com", "current_password": PASSWORD})
    assert (answer.json()["email"], answer.json()["email_verified"]) == ("Ana@Example.com", True)
    assert len(await mailbox.to("ana@example.com")) == before
    assert await mailbox.to("Ana@Example.com") == []


async def test_the_same_address_sent_again_is_mailed_again(
    ana: Person, client: httpx2.AsyncClient, mailbox: Mailbox
) -> None:
    lost = await mailbox.token("ana@example.com", "Confirm")
    answer = await ana.patch("/users/me", {"email": "ana@example.com", "current_password": PASSWORD})
    assert answer.json() == ana.user
    again = await mailbox.token("ana@example.com", "Confirm")
    assert (await client.post(f"{API}/auth/verify-email", json={"token": lost})).status_code == 422
    assert (await client.post(f"{API}/auth/verify-email", json={"token": again})).status_code == 204


@pytest.mark.usefixtures("bruno")
async def test_an_address_that_is_taken_stays_where_it_is(ana: Person, mailbox: Mailbox) -> None:
    before = len(await mailbox.to("ana@example.com"))
    answer = await ana.patch("/users/me", {"email": "Bruno@example.com", "current_password": PASSWORD})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "EMAIL_TAKEN")
    assert await me(ana) == ana.user
    assert len(await mailbox.to("ana@example.com")) == before


async def test_a_program_changes_all_but_the_address(ana: Person, client: httpx2.AsyncClient) -> None:
    made = await ana.post("/users/me/tokens", {"name": "x", "scopes": ["account"]})
    program = Person(client, {}, {"access_token": made.json()["token"]})
    assert (await program.patch("/users/me", {"username": "annika"})).status_code == 200
    refused = await program.patch("/users/me", {"email": "new@example.com", "current_password": PASSWORD})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "SESSION_REQUIRED")


async def test_leaving_needs_the_password(ana: Person) -> None:
    for body, status in (({}, 422), ({"current_password": "wrong"}, 403), ({"current_password": 7}, 422)):
        assert (await ana.request("DELETE", "/users/me", json=body)).status_code == status
    assert (await me(ana)) == ana.user


async def test_who_has_left_has_left_nothing_that_opens_a_door(
    ana: Person, client: httpx2.AsyncClient, mailbox: Mailbox, db: Database
) -> None:
    made = (await ana.post("/users/me/tokens", {"name": "x", "scopes": ["account"]})).json()
    verify = await mailbox.token("ana@example.com", "Confirm")
    answer = await ana.request("DELETE", "/users/me", json={"current_password": PASSWORD})
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await ana.get("/users/me")).status_code == 401
    assert (await Person(client, {}, {"access_token": made["token"]}).get("/users/me")).status_code == 401
    refresh = await client.post(f"{API}/auth/refresh", json={"refresh_token": ana.tokens["refresh_token"]})
    assert refresh.status_code == 401
    assert (await client.post(f"{API}/auth/verify-email", json={"token": verify})).status_code == 422
    for table in (api_tokens, mailed_tokens, sessions):
        assert await db.reads.all(query(scalar, select(table.c.user_id))) == []
    assert await db.reads.one(
        query(
            _Remains,
            select(users.c.email, users.c.email_key, users.c.username, users.c.username_key, users.c.password_hash),
        )
    ) == ("", None, "deleted", None, None)


async def test_what_somebody_had_who_has_left_is_free(ana: Person, bruno: Person, client: httpx2.AsyncClient) -> None:
    for person in (ana, bruno):
        answer = await person.request("DELETE", "/users/me", json={"current_password": PASSWORD})
        assert answer.status_code == 204
    assert (await people.register(client)).user["id"] != ana.user["id"]


async def test_the_last_administrator_stays(ana: Person, bruno: Person, db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute(update(users).where(users.c.username == "ana").values(is_admin=True))
    answer = await ana.request("DELETE", "/users/me", json={"current_password": PASSWORD})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "CONFLICT")
    assert (await ana.get("/lists")).json()["items"]
    assert (await ana.patch(f"/users/{bruno.user['id']}", {"is_admin": True})).status_code == 200
    assert (await ana.request("DELETE", "/users/me", json={"current_password": PASSWORD})).status_code == 204


async def test_an_address_that_folds_to_the_same_is_another_mailbox(
    ana: Person, client: httpx2.AsyncClient, mailbox: Mailbox
) -> None:
    await ana.patch("/users/me", {"email": "strasse@example.com", "current_password": PASSWORD})
    token = await mailbox.token("strasse@example.com", "Confirm")
    assert (await client.post(f"{API}/auth/verify-email", json={"token": token})).status_code == 204
    await client.post(f"{API}/auth/password-reset", json={"email": "strasse@example.com"})
    reset = await mailbox.token("strasse@example.com", "new password")
    answer = await ana.patch("/users/me", {"email": "straße@example.com", "current_password": PASSWORD})
    assert (answer.status_code, answer.json()["email_verified"]) == (200, False)
    assert "has changed" in (await mailbox.to("strasse@example.com"))[-1]
    assert "Confirm" in (await mailbox.to("straße@example.com"))[-1]
    body = {"token": reset, "password": "quite another one 7", "confirm_password": "quite another one 7"}
    assert (await client.post(f"{API}/auth/password-reset/confirm", json=body)).status_code == 422


async def test_an_old_address_that_nobody_proved_is_not_told(ana: Person, mailbox: Mailbox) -> None:
    before = len(await mailbox.to("ana@example.com"))
    answer = await ana.patch("/users/me", {"email": "new@example.com", "current_password": PASSWORD})
    assert answer.status_code == 200
    assert len(await mailbox.to("ana@example.com")) == before


async def test_a_password_without_an_address_is_not_acceptable(ana: Person, hasher: Hasher) -> None:
    before = hasher.hashed
    answer = await ana.patch("/users/me", {"username": "annika", "current_password": PASSWORD})
    assert answer.status_code == 422
    assert answer.json()["error"]["details"][0]["field"] == "body.current_password"
    assert (hasher.hashed, await me(ana)) == (before, ana.user)
