"""What strangers can ask says and does the same for names that somebody has and for those that nobody has."""

import httpx2
import pytest
from sqlalchemy import update

from doable.accounts.tables import users
from doable.core.db import Database
from tests.support import asgi, people
from tests.support.accounts import Mailbox
from tests.support.people import API, PASSWORD, Person
from tests.support.sharing import invite
from tests.test_statement_counts import counted

NAMES = ("ana", "bob", "carla", "nobody")
"""Somebody, somebody who is disabled, somebody who has left, and nobody."""
CHANGING = {"x-request-id", "date", "ratelimit-remaining", "ratelimit-reset"}


@pytest.fixture
async def strangers(client: httpx2.AsyncClient, db: Database) -> None:
    for name in ("ana", "bob"):
        await people.register(client, name)
    carla = await people.register(client, "carla")
    assert (await carla.request("DELETE", "/users/me", json={"current_password": PASSWORD})).status_code == 204
    async with db.transaction() as tx:
        await tx.execute(update(users).where(users.c.username == "bob").values(disabled_at=users.c.created_at))


@pytest.mark.parametrize("form", ["{}", "{}@example.com"])
@pytest.mark.usefixtures("strangers")
async def test_a_login_that_fails_runs_the_same_statements_for_everybody(
    client: httpx2.AsyncClient, running: asgi.Running, form: str
) -> None:
    work = []
    for name in NAMES:
        with counted(running) as seen:
            answer = await client.post(f"{API}/auth/login", json={"login": form.format(name), "password": "wrong one"})
        assert answer.status_code == 401
        work.append(seen)
    assert [seen == work[0] for seen in work] == [True] * len(NAMES), work


@pytest.mark.usefixtures("strangers")
async def test_a_reset_runs_the_same_statements_for_everybody(
    client: httpx2.AsyncClient, running: asgi.Running
) -> None:
    work = []
    for name in NAMES:
        with counted(running) as seen:
            answer = await client.post(f"{API}/auth/password-reset", json={"email": f"{name}@example.com"})
        assert (answer.status_code, answer.content) == (202, b"")
        work.append(seen)
    assert len(work[0]) > 1
    assert [seen == work[0] for seen in work] == [True] * len(NAMES), work


async def test_an_invitation_that_is_sent_again_tells_nothing_of_who_has_the_address(
    ana: Person, bob: Person, running: asgi.Running, mailbox: Mailbox
) -> None:
    token = await mailbox.token(bob.user["email"], "Confirm")
    assert (await bob.client.post(f"{API}/auth/verify-email", json={"token": token})).status_code == 204
    home = (await ana.list())["id"]
    said, work = [], []
    for email in (bob.user["email"], "nobody@example.com"):
        made = await invite(ana, email, home)
        mails = len(await mailbox.to(email))
        with counted(running) as seen:
            again = await ana.post(f"/lists/{home}/invitations", {"email": email, "role": "editor"})
        assert (again.status_code, again.json()["id"], again.json()["url"]) == (200, made["id"], None)
        assert len(await mailbox.to(email)) == mails
        same = {name: value for name, value in again.headers.items() if name not in {*CHANGING, "content-length"}}
        said.append((same, again.json().keys()))
        work.append(seen)
    assert said[0] == said[1]
    assert work[0] == work[1]
