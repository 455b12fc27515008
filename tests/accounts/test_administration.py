"""What administrators may do to users, over HTTP and at the command line."""

import asyncio
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import update

from doable.accounts.operations import administration, registration
from doable.accounts.schemas import UserCreate
from doable.accounts.tables import users
from doable.core import failpoints
from doable.core.db import Database
from doable.core.errors import AppException, Code
from doable.core.passwords import Hasher
from tests.support import people
from tests.support.people import API, PASSWORD, Person


@pytest.fixture
async def ada(client: httpx2.AsyncClient, db: Database) -> Person:
    """An administrator."""
    ada = await people.register(client, "ada")
    async with db.transaction() as tx:
        await tx.execute(update(users).where(users.c.username == "ada").values(is_admin=True))
    return ada


def form(username: str) -> UserCreate:
    return UserCreate(email=f"{username}@example.com", username=username, password=PASSWORD, confirm_password=PASSWORD)


async def test_everybody_who_has_not_left_is_listed_in_pages(ada: Person, ana: Person) -> None:
    await people.register(ada.client, "bruno")
    carla = await people.register(ada.client, "carla")
    await carla.request("DELETE", "/users/me", json={"current_password": PASSWORD})
    page = (await ada.get("/users")).json()
    assert page.keys() == {"items", "page", "size", "total", "next_cursor"}
    assert [user["username"] for user in page["items"]] == ["ada", "ana", "bruno"]
    assert page["items"][1] == ana.user
    assert (page["page"], page["total"], page["next_cursor"]) == (1, 3, None)
    first = (await ada.get("/users?size=2")).json()
    rest = (await ada.get(f"/users?size=2&cursor={first['next_cursor']}")).json()
    assert [user["username"] for user in rest["items"]] == ["bruno"]


async def test_a_disabled_user_is_out_at_once_everywhere(ada: Person, ana: Person, client: httpx2.AsyncClient) -> None:
    made = (await ana.post("/users/me/tokens", {"name": "x", "scopes": ["account"]})).json()
    program = Person(client, {}, {"access_token": made["token"]})
    answer = await ada.patch(f"/users/{ana.user['id']}", {"disabled": True})
    assert answer.status_code == 200
    assert len(answer.json()["disabled_at"]) == 24
    assert answer.json() | {"disabled_at": None, "updated_at": ana.user["updated_at"]} == ana.user
    assert (await ana.get("/users/me")).status_code == 401
    assert (await program.get("/users/me")).status_code == 401
    refresh = {"refresh_token": ana.tokens["refresh_token"]}
    assert (await client.post(f"{API}/auth/refresh", json=refresh)).status_code == 401
    login = {"login": "ana", "password": PASSWORD}
    assert (await client.post(f"{API}/auth/login", json=login)).status_code == 401

    again = await ada.patch(f"/users/{ana.user['id']}", {"disabled": True})
    assert again.json() == answer.json()
    assert (await ada.patch(f"/users/{ana.user['id']}", {"disabled": False})).json()["disabled_at"] is None
    assert (await ana.get("/users/me")).json()["error"]["code"] == "SESSION_ENDED"
    assert (await client.post(f"{API}/auth/login", json=login)).status_code == 200


async def test_an_administrator_is_made_and_unmade(ada: Person, ana: Person) -> None:
    assert (await ada.patch(f"/users/{ana.user['id']}", {"is_admin": True})).json()["is_admin"] is True
    assert (await ana.get("/users")).status_code == 200
    assert (await ana.patch(f"/users/{ada.user['id']}", {"is_admin": False})).json()["is_admin"] is False
    assert (await ada.get("/users")).status_code == 403


async def test_there_is_always_an_administrator(ada: Person, ana: Person) -> None:
    for body in ({"is_admin": False}, {"disabled": True}):
        answer = await ada.patch(f"/users/{ada.user['id']}", body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "CONFLICT")
    await ada.patch(f"/users/{ana.user['id']}", {"is_admin": True})
    failpoints.set_action("db.before_commit", "sleep:0.3")
    try:
        answers = await asyncio.gather(
            ada.patch(f"/users/{ana.user['id']}", {"is_admin": False}),
            ana.patch(f"/users/{ada.user['id']}", {"is_admin": False}),
        )
    finally:
        failpoints.set_action("db.before_commit", None)
    assert sorted(answer.status_code for answer in answers) == [200, 403]


async def test_an_administrator_changes_nothing_else(ada: Person, ana: Person) -> None:
    for body in ({"username": "x"}, {"email": "x@example.com"}, {"is_admin": None}, {"disabled": 1}, {"password": "x"}):
        assert (await ada.patch(f"/users/{ana.user['id']}", body)).status_code == 422
    assert (await ada.patch(f"/users/{ana.user['id']}", {})).json() == ana.user


async def test_who_is_not_there_cannot_be_changed(ada: Person, ana: Person) -> None:
    await ana.request("DELETE", "/users/me", json={"current_password": PASSWORD})
    for user_id in (ana.user["id"], UUID(int=1)):
        assert (await ada.patch(f"/users/{user_id}", {"disabled": True})).status_code == 404


async def test_the_first_administrator_needs_no_request(
    client: httpx2.AsyncClient, db: Database, hasher: Hasher
) -> None:
    made = await registration.create_user(db, hasher, form("ada"), is_admin=True)
    body = {"login": "ada", "password": PASSWORD}
    ada = Person(client, {}, (await client.post(f"{API}/auth/login", json=body)).json())
    me = (await ada.get("/users/me")).json()
    assert (me["id"], me["is_admin"], me["email_verified"]) == (str(made.id), True, True)
    assert [one["id"] for one in (await ada.get("/lists")).json()["items"]] == [str(made.inbox_id)]
    with pytest.raises(AppException) as refusal:
        await registration.create_user(db, hasher, form("ada"))
    assert refusal.value.code in {Code.EMAIL_TAKEN, Code.USERNAME_TAKEN}


async def test_a_lost_password_is_set_from_the_command_line(
    ana: Person, client: httpx2.AsyncClient, db: Database, hasher: Hasher
) -> None:
    for _ in range(5):
        await client.post(f"{API}/auth/login", json={"login": "ana", "password": "wrong"})
    with pytest.raises(AppException) as refusal:
        await administration.set_password(db, hasher, await administration.find(db, "ANA"), "password1234")
    assert refusal.value.code == Code.VALIDATION_ERROR
    await administration.set_password(
        db, hasher, await administration.find(db, "Ana@example.com"), "quite another one 7"
    )
    assert (await ana.get("/users/me")).json()["error"]["code"] == "SESSION_ENDED"
    body = {"login": "ana", "password": "quite another one 7"}
    assert (await client.post(f"{API}/auth/login", json=body)).status_code == 200
    with pytest.raises(AppException) as refusal:
        await administration.find(db, "nobody")
    assert refusal.value.code == Code.NOT_FOUND


@pytest.mark.usefixtures("ana", "bruno")
async def test_users_are_listed_at_the_command_line(db: Database) -> None:
    assert [user.username for user in await administration.list_users(db)] == ["ana", "bruno"]
