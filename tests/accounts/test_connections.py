"""Nothing of accounts holds a connection while it waits for another, or for a hash."""

import asyncio

import httpx2
import pytest

from doable.core.db import Database
from doable.core.passwords import Hasher
from doable.settings import Settings
from tests.support import people
from tests.support.accounts import Mailbox
from tests.support.people import API, PASSWORD, Person

NEW = "a short swim in the lake 43"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """One connection that writes, one that reads, and none beyond."""
    return settings.model_copy(update={"database_pool_size": 2, "database_max_overflow": 0})


async def live(client: httpx2.AsyncClient, mailbox: Mailbox, name: str) -> None:
    """All that an account goes through."""
    person = await people.register(client, name)
    token = await mailbox.token(f"{name}@example.com", "Confirm")
    assert (await client.post(f"{API}/auth/verify-email", json={"token": token})).status_code == 204
    refresh = {"refresh_token": person.tokens["refresh_token"]}
    answers = await asyncio.gather(*(client.post(f"{API}/auth/refresh", json=refresh) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {200}
    made = await person.post("/users/me/tokens", {"name": "x", "scopes": ["account"]})
    assert (await person.delete(f"/users/me/tokens/{made.json()['id']}")).status_code == 204
    wrong = {"login": name, "password": "wrong"}
    assert (await client.post(f"{API}/auth/login", json=wrong)).status_code == 401
    changed = {"current_password": PASSWORD, "password": NEW, "confirm_password": NEW}
    assert (await person.put("/users/me/password", changed)).status_code == 204
    assert (await person.patch("/users/me", {"email": f"{name}@example.org", "current_password": NEW})).is_success
    assert (await client.post(f"{API}/auth/password-reset", json={"email": f"{name}@example.org"})).status_code == 202
    token = await mailbox.token(f"{name}@example.org", "new password")
    reset = {"token": token, "password": PASSWORD, "confirm_password": PASSWORD}
    assert (await client.post(f"{API}/auth/password-reset/confirm", json=reset)).status_code == 204
    login = await client.post(f"{API}/auth/login", json={"login": name, "password": PASSWORD})
    person = Person(client, person.user, login.json())
    assert (await person.delete("/auth/sessions")).status_code == 204
    assert (await person.request("DELETE", "/users/me", json={"current_password": PASSWORD})).status_code == 204


async def test_everything_goes_on_with_the_smallest_pool(client: httpx2.AsyncClient, mailbox: Mailbox) -> None:
    async with asyncio.timeout(60):
        await asyncio.gather(*(live(client, mailbox, name) for name in ("ana", "bruno", "carla")))


async def test_no_connection_is_held_while_a_password_is_hashed(
    client: httpx2.AsyncClient, mailbox: Mailbox, hasher: Hasher, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = 0
    run = hasher._run

    async def watched(*arguments: object) -> object:
        """What background work borrows it gives back soon; what this request borrowed it would keep."""
        nonlocal hashed
        async with asyncio.timeout(10):
            while db.pool_status().in_use:  # noqa: ASYNC110 - a pool tells nobody
                await asyncio.sleep(0.001)
        hashed += 1
        return await run(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(hasher, "_run", watched)
    await live(client, mailbox, "ana")
    assert hashed >= 9
