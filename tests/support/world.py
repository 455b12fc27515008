"""A list with everybody who can stand to it in any way: what authorisation is tested against."""

from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import uuid4

import httpx2

from doable.accounts.operations import registration
from doable.accounts.schemas import UserCreate
from tests.support import asgi
from tests.support.people import API, PASSWORD, Person, register
from tests.support.sharing import invite, join


class Caller(NamedTuple):
    """Somebody with a credential: a session, a token, or none."""

    name: str
    headers: dict[str, str]


@dataclass
class People:
    """Those who are the same in every world. To the guest things are done; Mira's list is hers alone."""

    client: httpx2.AsyncClient
    owner: Person
    editor: Person
    viewer: Person
    guest: Person
    former: Person
    disabled: Person
    stranger: Person
    mira: Person
    admin: Person

    def caller(self, name: str) -> Caller:
        return Caller(name, {} if name == "anonymous" else getattr(self, name).headers)

    async def token(self, name: str, *scopes: str) -> Caller:
        answer = await getattr(self, name).post("/users/me/tokens", {"name": "t", "scopes": scopes})
        return Caller(f"{name}'s token", {"Authorization": f"Bearer {answer.json()['token']}"})

    async def send(self, caller: Caller, method: str, path: str, body: object) -> httpx2.Response:
        return await self.client.request(method, f"{API}{path}", headers=caller.headers, json=body)


async def people(client: httpx2.AsyncClient, running: asgi.Running) -> People:
    names = ("owner", "editor", "viewer", "guest", "former", "disabled", "stranger", "mira")
    registered = {name: await register(client, name) for name in names}
    return People(client, **registered, admin=await administrator(client, running))


async def ids(people: People) -> dict[str, str]:
    """A new list of the owner's with its members, and what is in it: the ids that stand in paths and bodies."""
    home = (await people.owner.list())["id"]
    for person in (people.editor, people.viewer, people.guest, people.former):
        await join(people.owner, person, home, "viewer" if person is people.viewer else "editor")
    await people.owner.delete(f"/lists/{home}/members/{people.former.user['id']}")
    open_one = await invite(people.owner, f"{uuid4()}@example.com", home)
    todo = await people.owner.todo(list_id=home)
    hook = await _webhook(people.owner, home)
    return {
        "list_id": home,
        "todo_id": todo["id"],
        "trashed_id": await _trashed(people.owner, home),
        "user_id": people.guest.user["id"],
        "invitation_id": open_one["id"],
        "token": open_one["token"],
        **hook,
    }


async def others(people: People) -> dict[str, str]:
    """The same of a list that only Mira is in."""
    home = (await people.mira.list())["id"]
    invitation = await invite(people.mira, "nobody@example.com", home)
    todo = await people.mira.todo(list_id=home)
    hook = await _webhook(people.mira, home)
    return {
        "list_id": home,
        "todo_id": todo["id"],
        "trashed_id": await _trashed(people.mira, home),
        "user_id": people.mira.user["id"],
        "invitation_id": invitation["id"],
        "token": f"{invitation['token'][:-8]}AAAAAAAA",
        **hook,
    }


async def disable(people: People, list_id: str) -> None:
    """An editor of this list whom an administrator has disabled."""
    await join(people.owner, people.disabled, list_id)
    answer = await people.admin.patch(f"/users/{people.disabled.user['id']}", {"disabled": True})
    assert answer.status_code == 200, answer.text


async def _trashed(owner: Person, list_id: str) -> str:
    todo_id: str = (await owner.todo(list_id=list_id))["id"]
    assert (await owner.delete(f"/todos/{todo_id}")).status_code == 204
    return todo_id


async def _webhook(owner: Person, list_id: str) -> dict[str, str]:
    made = await owner.post("/webhooks", {"url": "https://hooks.example.com/", "list_id": list_id})
    ping = await owner.post(f"/webhooks/{made.json()['id']}/ping")
    return {"webhook_id": made.json()["id"], "delivery_id": ping.json()["id"]}


async def administrator(client: httpx2.AsyncClient, running: asgi.Running) -> Person:
    form = UserCreate(email="admin@example.com", username="admin", password=PASSWORD, confirm_password=PASSWORD)
    row = await registration.create_user(running.state["db"], running.state["hasher"], form, is_admin=True)
    login = await client.post(f"{API}/auth/login", json={"login": "admin", "password": PASSWORD})
    user: dict[str, Any] = {"id": str(row.id), "inbox_id": str(row.inbox_id), "email": row.email}
    return Person(client, user, login.json())
