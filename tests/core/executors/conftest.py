"""Both executors on one database."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from doable import runtime
from doable.settings import Settings
from tests.support import applications, people
from tests.support.statements import Both


@pytest.fixture
async def both(settings: Settings) -> AsyncIterator[Both]:
    """The native executor and the reference, in a database where something has happened and nothing happens now."""
    async with applications.started(settings) as client:
        await _live(client)
    native, reference = (
        runtime.open_database(settings.model_copy(update={"executor": name})) for name in ("native", "sqlalchemy")
    )
    yield native, reference
    await native.close()
    await reference.close()


async def _live(client: httpx2.AsyncClient) -> None:
    ana, bruno = await people.register(client, "ana"), await people.register(client, "bruno")
    for person in (ana, bruno):
        home = await person.list()
        old = await person.list("Old")
        await person.patch(f"/lists/{old['id']}", {"archived": True})
        todos = [await person.todo(title, list_id=home["id"]) for title in ("milk", "Ünïcödé 🎈", "'; --")]
        await person.put(f"/todos/{todos[0]['id']}/completion")
        await person.post("/users/me/tokens", {"name": "t", "scopes": ["todos:read"]})
        await person.post("/todos", {"title": "once"}, headers={"Idempotency-Key": "k"})
        login = {"login": person.user["username"], "password": "wrong " * 4}
        await client.post(f"{people.API}/auth/login", json=login)
        await client.post(f"{people.API}/auth/password-reset", json={"email": person.user["email"]})
