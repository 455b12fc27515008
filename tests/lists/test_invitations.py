"""Invitations over HTTP: who gets them, what accepts them, and what nobody learns from them."""

import datetime as dt
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import select

from doable.accounts.operations import registration
from doable.accounts.schemas import UserCreate
from doable.core.db import Database
from doable.core.events import events
from doable.core.limits import Budget
from doable.core.queries import query, scalar
from doable.lists.tables import invitations as table
from doable.settings import Settings
from tests.support import asgi, databases, folding
from tests.support.accounts import Mailbox, Wait
from tests.support.people import API, PASSWORD, Person, register
from tests.support.sharing import invite, join, members

BOB = "bob@example.com"


@pytest.fixture
async def home(ana: Person) -> str:
    return str((await ana.list())["id"])


async def verify(person: Person, mailbox: Mailbox) -> None:
    token = await mailbox.token(person.user["email"], "Confirm")
    answer = await person.client.post(f"{API}/auth/verify-email", json={"token": token})
    assert answer.status_code == 204


async def mine(person: Person) -> list[str]:
    answer = await person.get("/invitations")
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_an_invitation_is_mailed_shown_once_and_accepted_once(
    ana: Person, bob: Person, home: str, mailbox: Mailbox, settings: Settings
) -> None:
    answer = await ana.post(f"/lists/{home}/invitations", {"email": "Bob@Example.com", "role": "viewer"})
    made = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    assert answer.headers["location"] == f"/api/v1/lists/{home}/invitations/{made['id']}"
    assert made["url"].startswith(f"{settings.public_url}/invitation#token=dbi_")
    assert (made["email"], made["role"], made["status"]) == ("Bob@Example.com", "viewer", "pending")
    assert made["list"] == {"id": home, "name": "Groceries"}
    assert made["invited_by"] == {"id": ana.user["id"], "username": "ana"}
    (mail,) = await mailbox.to("Bob@example.com")
    assert made["url"] in mail
    assert "Groceries" not in mail
    shown = {name: value for name, value in made.items() if name != "url"}
    assert (await ana.get(f"/lists/{home}/invitations")).json()["items"] == [shown]
    token = {"token": made["url"].partition("#token=")[2]}
    joined = await bob.post("/invitations/acceptance", token)
    assert (joined.status_code, joined.json()["id"], joined.json()["role"]) == (200, home, "viewer")
    assert joined.headers["etag"].endswith('.1.viewer"')
    assert joined.headers["doable-position"].endswith(":3")
    again = await bob.post("/invitations/acceptance", token)
    assert (again.json(), "doable-position" in again.headers) == (joined.json(), False)
    eve = await register(bob.client, "eve")
    assert code(await eve.post("/invitations/acceptance", token)) == (409, "CONFLICT")
    assert code(await eve.post("/invitations/refusal", token)) == (409, "CONFLICT")
    assert (await ana.get(f"/lists/{home}/invitations")).json()["items"][0]["status"] == "accepted"
    assert code(await ana.delete(f"/lists/{home}/invitations/{made['id']}")) == (409, "CONFLICT")
    assert await members(ana, home) == {"ana": "owner", "bob": "viewer"}


async def test_the_same_address_finds_the_open_invitation_and_no_second_mail(
    ana: Person, home: str, mailbox: Mailbox
) -> None:
    made = await invite(ana, BOB, home)
    again = await ana.post(f"/lists/{home}/invitations", {"email": "BOB@example.com", "role": "viewer"})
    assert (again.status_code, "location" in again.headers) == (200, False)
    assert again.json() == {**{k: v for k, v in made.items() if k != "token"}, "url": None}
    assert len(await mailbox.to(BOB)) == 1
    await ana.delete(f"/lists/{home}/invitations/{made['id']}")
    assert (await invite(ana, BOB, home))["id"] != made["id"]


async def test_who_is_invited_again_and_again_while_the_database_fails_gets_his_mail_in_the_end(
    ana: Person, home: str, mailbox: Mailbox
) -> None:
    body = {"email": BOB, "role": "viewer"}
    with databases.without_commits():
        for _ in range(10):
            answer = await ana.post(f"/lists/{home}/invitations", body, headers={"Idempotency-Key": "one"})
            assert answer.status_code == 503
    answer = await ana.post(f"/lists/{home}/invitations", body, headers={"Idempotency-Key": "one"})
    assert answer.status_code == 201
    assert len(await mailbox.to(BOB)) == 1


async def test_only_who_has_proved_the_address_finds_an_invitation_by_its_id(
    ana: Person, bob: Person, home: str, mailbox: Mailbox
) -> None:
    made = await invite(ana, BOB, home)
    choice = {"id": made["id"]}
    assert await mine(bob) == []
    unknown = await bob.post("/invitations/acceptance", {"id": str(uuid4())})
    refused = await bob.post("/invitations/acceptance", choice)
    assert code(refused) == (404, "NOT_FOUND")
    assert refused.json()["error"] | {"request_id": ""} == unknown.json()["error"] | {"request_id": ""}
    await verify(bob, mailbox)
    assert await mine(bob) == [made["id"]]
    assert code(await ana.post("/invitations/refusal", choice)) == (404, "NOT_FOUND")
    assert (await bob.post("/invitations/acceptance", choice)).json()["role"] == "editor"
    assert await mine(bob) == []


async def test_who_has_no_account_yet_registers_and_joins(ana: Person, home: str, client: httpx2.AsyncClient) -> None:
    made = await invite(ana, "eve@example.com", home)
    eve = await register(client, "eve")
    assert (await eve.post("/invitations/acceptance", {"token": made["token"]})).status_code == 200
    assert await members(eve, home) == {"ana": "owner", "eve": "editor"}


async def test_an_invitation_is_declined_and_can_be_sent_again(
    ana: Person, bob: Person, home: str, mailbox: Mailbox
) -> None:
    await verify(bob, mailbox)
    made = await invite(ana, BOB, home)
    for choice in ({"id": made["id"]}, {"token": made["token"]}, {"id": made["id"]}):
        answer = await bob.post("/invitations/refusal", choice)
        assert (answer.status_code, answer.content) == (204, b"")
        assert code(await bob.post("/invitations/acceptance", choice)) == (409, "CONFLICT")
    assert (await ana.get(f"/lists/{home}/invitations")).json()["items"][0]["status"] == "declined"
    assert (await bob.post("/invitations/acceptance", {"token": (await invite(ana, BOB, home))["token"]})).is_success


async def test_an_invitation_expires_and_makes_room_for_another(
    ana: Person, bob: Person, home: str, mailbox: Mailbox, wait: Wait
) -> None:
    await verify(bob, mailbox)
    made = await invite(ana, BOB, home)
    wait(dt.timedelta(days=7))
    for person in (ana, bob):
        body = {"login": person.user["email"], "password": PASSWORD}
        person.tokens = (await person.client.post(f"{API}/auth/login", json=body)).json()
    assert await mine(bob) == []
    for choice in ({"id": made["id"]}, {"token": made["token"]}):
        assert code(await bob.post("/invitations/acceptance", choice)) == (409, "CONFLICT")
        assert code(await bob.post("/invitations/refusal", choice)) == (409, "CONFLICT")
    new = await invite(ana, BOB, home)
    statuses = {item["id"]: item["status"] for item in (await ana.get(f"/lists/{home}/invitations")).json()["items"]}
    assert statuses == {made["id"]: "expired", new["id"]: "pending"}
    assert (await ana.delete(f"/lists/{home}/invitations/{made['id']}")).status_code == 204


async def test_a_revoked_invitation_leads_nowhere(ana: Person, bob: Person, home: str) -> None:
    made = await invite(ana, BOB, home)
    there = f"/lists/{home}/invitations/{made['id']}"
    other = (await ana.list())["id"]
    for wrong in (f"/lists/{other}/invitations/{made['id']}", f"/lists/{home}/invitations/{uuid4()}"):
        assert code(await ana.delete(wrong)) == (404, "NOT_FOUND")
    for _ in range(2):
        assert (await ana.delete(there)).status_code == 204
    assert code(await bob.post("/invitations/acceptance", {"token": made["token"]})) == (409, "CONFLICT")
    assert await members(ana, home) == {"ana": "owner"}


async def test_inviting_tells_nobody_who_has_an_account_or_is_a_member(
    ana: Person, bob: Person, home: str, mailbox: Mailbox
) -> None:
    await verify(bob, mailbox)
    await join(ana, bob, home)
    answers = [
        (await ana.post(f"/lists/{home}/invitations", {"email": email, "role": "editor"}))
        for email in (BOB, "nobody@example.com")
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    known, unknown = (set(answer.headers) | set(answer.json()) for answer in answers)
    assert known == unknown
    assert await mine(bob) == []  # he is in the list already
    token = answers[0].json()["url"].partition("#token=")[2]
    again = await bob.post("/invitations/acceptance", {"token": token})
    assert (again.status_code, "doable-position" in again.headers) == (200, False)
    assert (await folding.fold(ana, home)).revision == 3


async def test_who_is_removed_does_not_come_back_by_an_older_invitation(
    ana: Person, bob: Person, home: str, mailbox: Mailbox
) -> None:
    await verify(bob, mailbox)
    await join(ana, bob, home)
    spare = await invite(ana, BOB, home)
    await ana.delete(f"/lists/{home}/members/{bob.user['id']}")
    assert code(await bob.post("/invitations/acceptance", {"token": spare["token"]})) == (409, "CONFLICT")


async def test_who_was_the_owner_and_is_removed_does_not_come_back_by_what_he_has_sent(
    ana: Person, bob: Person, home: str
) -> None:
    await join(ana, bob, home)
    spare = await invite(ana, "nobody@example.com", home)
    await ana.put(f"/lists/{home}/owner", {"user_id": bob.user["id"]})
    theirs = await invite(bob, "cid@example.com", home)
    await bob.delete(f"/lists/{home}/members/{ana.user['id']}")
    assert code(await ana.post("/invitations/acceptance", {"token": spare["token"]})) == (409, "CONFLICT")
    shown = (await bob.get(f"/lists/{home}/invitations")).json()["items"]
    assert {one["id"]: one["status"] for one in shown if one["status"] != "accepted"} == {
        spare["id"]: "revoked",
        theirs["id"]: "pending",
    }


async def test_the_invited_learns_it_in_his_own_log_once_his_address_is_proved(
    ana: Person, bob: Person, home: str, mailbox: Mailbox, running: asgi.Running
) -> None:
    first = await invite(ana, BOB, home)
    await ana.delete(f"/lists/{home}/invitations/{first['id']}")
    await verify(bob, mailbox)
    second = await invite(ana, BOB, home)
    database: Database = running.state["db"]
    rows = await database.reads.all(query(scalar, select(events.c.data).where(events.c.kind == "invitation.received")))
    assert rows == [f'{{"invitation_id":"{second["id"]}"}}']


async def test_the_database_holds_no_secret(ana: Person, home: str, running: asgi.Running) -> None:
    made = await invite(ana, BOB, home)
    database: Database = running.state["db"]
    (digest,) = await database.reads.all(query(scalar, select(table.c.digest)))
    assert len(digest) == 32
    assert made["token"].encode() not in digest


async def test_members_and_open_invitations_share_the_places_of_a_list(
    ana: Person, bob: Person, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doable.lists.operations.invitations.MOST", 3)
    await join(ana, bob, home)
    made = await invite(ana, "one@example.com", home)
    full = await ana.post(f"/lists/{home}/invitations", {"email": "two@example.com", "role": "editor"})
    assert code(full) == (422, "LIMIT_REACHED")
    await ana.delete(f"/lists/{home}/invitations/{made['id']}")
    await invite(ana, "two@example.com", home)


async def test_a_person_sends_so_many_invitations_a_day(
    ana: Person, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doable.lists.operations.invitations.BUDGET", Budget(2, 86400))
    await invite(ana, "one@example.com", home)
    await invite(ana, "two@example.com", home)
    third = await ana.post(f"/lists/{home}/invitations", {"email": "three@example.com", "role": "editor"})
    assert (code(third), "retry-after" in third.headers) == ((429, "RATE_LIMITED"), True)


async def test_the_inbox_is_shared_with_nobody(ana: Person) -> None:
    answer = await ana.post(f"/lists/{ana.inbox_id}/invitations", {"email": BOB, "role": "editor"})
    assert code(answer) == (409, "CONFLICT")


@pytest.mark.parametrize("body", [{}, {"token": "x", "id": str(uuid4())}, {"id": None}, {"token": ""}, {"email": BOB}])
@pytest.mark.parametrize("answer", ["acceptance", "refusal"])
async def test_a_bad_choice_is_refused(ana: Person, answer: str, body: dict[str, object]) -> None:
    assert code(await ana.post(f"/invitations/{answer}", body)) == (422, "VALIDATION_ERROR")


@pytest.mark.parametrize("settings", [{"registration": "invited"}], indirect=True)
async def test_where_only_the_invited_register_an_invited_address_does(
    client: httpx2.AsyncClient, running: asgi.Running
) -> None:
    body = {"email": BOB, "username": "bob", "password": PASSWORD, "confirm_password": PASSWORD}
    assert code(await client.post(f"{API}/users", json=body)) == (403, "FORBIDDEN")
    ana = await _made_by_an_administrator(client, running)
    made = await invite(ana, BOB, str((await ana.list())["id"]))
    for taken in ("ana@example.com", "eve@example.com"):
        assert code(await client.post(f"{API}/users", json={**body, "email": taken})) == (403, "FORBIDDEN")
    assert (await client.post(f"{API}/users", json=body)).status_code == 201
    await ana.delete(f"/lists/{made['list']['id']}/invitations/{made['id']}")
    other = {**body, "username": "robert"}
    assert code(await client.post(f"{API}/users", json=other)) == (403, "FORBIDDEN")


async def _made_by_an_administrator(client: httpx2.AsyncClient, running: asgi.Running) -> Person:
    form = UserCreate(email="ana@example.com", username="ana", password=PASSWORD, confirm_password=PASSWORD)
    row = await registration.create_user(running.state["db"], running.state["hasher"], form)
    login = await client.post(f"{API}/auth/login", json={"login": "ana", "password": PASSWORD})
    return Person(client, {"id": str(row.id), "inbox_id": str(row.inbox_id), "email": row.email}, login.json())
