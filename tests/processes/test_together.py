"""What goes through several parts of a started server: two workers, PostgreSQL, Valkey, a receiver, mails."""

import asyncio
import email
import email.policy
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import httpx2
import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from doable import runtime
from doable.core import clock, ids
from doable.core.db import Database
from doable.core.jobs.tables import jobs
from doable.core.queries import query, scalar
from doable.settings import Settings
from doable.webhooks import statements
from doable.webhooks.tables import ACTIVE, webhooks
from tests.support import receivers, servers
from tests.support.people import PASSWORD, Person, register
from tests.support.receivers import Receiver
from tests.support.waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.parametrize("database_url", ["postgresql"], indirect=True),
]
METRICS = "metrics-token-of-the-tests"
PURGED = query(scalar, select(jobs.c.state).where(jobs.c.name == "webhooks.purge", jobs.c.state == "done"))
OWNERS = query(scalar, select(webhooks.c.user_id))


async def test_what_no_part_can_show_alone(settings: Settings, redis_url: str, tmp_path: Path) -> None:
    changes = {
        "redis_url": SecretStr(redis_url),
        "metrics_token": SecretStr(METRICS),
        "outbound_networks": ("127.0.0.0/8",),
        "embedded_worker": True,
    }
    settings = settings.model_copy(update=changes)
    with servers.serve(settings, tmp_path, "--workers", "2") as server:
        async with (
            httpx2.AsyncClient(base_url=server.base_url, trust_env=False, timeout=20) as http,
            receivers.listening() as receiver,
            _opened(settings) as db,
        ):
            ana, bob = await register(http, "ana"), await register(http, "bob")
            await _prove(settings, ana)
            await _move_east(settings, db, ana)
            await _ping_while_paused(ana, receiver)
            await _leave(db, bob)
            await _measure(http)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Database]:
    db = runtime.open_database(settings)
    try:
        yield db
    finally:
        await db.close()


async def _prove(settings: Settings, ana: Person) -> None:
    """The address, which gets no digest otherwise, by the code in the mail; it is in its link as well."""
    (text,) = await _mails(settings, "Confirm your e-mail address")
    (code,) = set(re.findall(r"dbm_[\w-]+", text))
    assert f"/verify-email#token={code}" in text
    answers = [await ana.post("/auth/verify-email", {"token": code}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [204, 422]


async def _move_east(settings: Settings, db: Database, ana: Person) -> None:
    """A digest of which the time has passed, where she is now, comes at once."""
    now = datetime.now(UTC)
    await ana.todo("Pay the rent", due={"date": (now.date() - timedelta(days=1)).isoformat()})
    await ana.put("/users/me/digest", {"at": (now + timedelta(hours=2)).strftime("%H:%M")})
    assert not await _mails(settings, "Due on", at_least=0)
    assert (await ana.patch("/users/me", {"timezone": "Etc/GMT-3"})).status_code == 200
    await _hasten(db, "digests.plan")
    (text,) = await _mails(settings, "Due on")
    assert "Pay the rent" in text


async def _ping_while_paused(ana: Person, receiver: Receiver) -> None:
    """What waits goes on waiting, whatever becomes of pings."""
    hook = await receivers.subscribe(ana, receiver)
    receiver.status = 500
    await ana.todo()
    await until(lambda: receiver.kinds() == ["todo.created"])
    await _eventually(ana, hook["id"], ["failed"])
    await ana.patch(f"/webhooks/{hook['id']}", {"status": "paused"})
    for count in (1, 2):
        await ana.post(f"/webhooks/{hook['id']}/ping")
        await until(lambda count=count: receiver.kinds() == ["todo.created", *["ping"] * count])  # type: ignore[misc]
    await _eventually(ana, hook["id"], ["failed", "dead", "dead"])
    receiver.status = 204
    await ana.patch(f"/webhooks/{hook['id']}", {"status": "active"})
    await until(lambda: receiver.kinds() == ["todo.created", "ping", "ping", "todo.created"])
    await _eventually(ana, hook["id"], ["delivered", "dead", "dead"])


async def _leave(db: Database, bob: Person) -> None:
    """What is left of a webhook of somebody who has gone is swept up, when the job for it has been and gone."""
    assert (await bob.delete("/users/me", json={"current_password": PASSWORD})).status_code == 204
    async with asyncio.timeout(30):
        while not await db.reads.all(PURGED):  # noqa: ASYNC110 — a row rings no bell
            await asyncio.sleep(0.05)
    now = clock.now()
    async with db.transaction() as tx:
        await tx.execute(
            statements.INSERT,
            id=ids.new_id(),
            list_id=None,
            url="http://127.0.0.1:9/hook",
            kinds=None,
            user_id=UUID(bob.user["id"]),
            secret=ids.new_secret(),
            status=ACTIVE,
            created_at=now,
            updated_at=now,
        )
    assert len(await db.reads.all(OWNERS)) == 2
    await _hasten(db, "webhooks.sweep")
    async with asyncio.timeout(30):
        while UUID(bob.user["id"]) in await db.reads.all(OWNERS):  # noqa: ASYNC110 — a row rings no bell
            await asyncio.sleep(0.05)


async def _measure(http: httpx2.AsyncClient) -> None:
    """The worker that has sent the digest says so; on a new connection one meets either."""
    assert (await http.get("/metrics")).status_code == 401
    headers = {"Authorization": f"Bearer {METRICS}", "Connection": "close"}
    text = ""
    async with asyncio.timeout(30):
        while 'doable_jobs_attempts_total{job="digests.send",outcome="done"} 1.0' not in text:
            answer = await http.get("/metrics", headers=headers)
            assert answer.status_code == 200, answer.text
            text = answer.text
    assert re.search(r'^doable_http_request_duration_seconds_count\{route="[^"]+"\} [1-9]', text, re.MULTILINE), text


async def _mails(settings: Settings, subject: str, to: str = "ana@example.com", at_least: int = 1) -> list[str]:
    """The text of those that have come, when as many have as there should be."""

    def found() -> list[str]:
        files = sorted((settings.data_dir / "mail").glob("*.eml"))
        mails = [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]
        return [
            mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
            for mail in mails
            if mail["To"] == to and subject in mail["Subject"]
        ]

    await until(lambda: len(found()) >= at_least)
    return found()


async def _hasten(db: Database, name: str) -> None:
    """Let what runs now and then run now."""
    async with db.transaction() as tx:
        await tx.execute(update(jobs).where(jobs.c.name == name, jobs.c.state == "waiting").values(run_at=clock.now()))


async def _eventually(person: Person, webhook_id: str, wanted: list[str]) -> None:
    async with asyncio.timeout(30):
        while [each["status"] for each in await receivers.log(person, webhook_id)] != wanted:  # noqa: ASYNC110 — as above
            await asyncio.sleep(0.05)
