"""Mails that a transaction leaves behind reach a real SMTP server: through delay, refusal, greylisting and loss."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

import httpx2
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic import SecretStr
from sqlalchemy import select, update

from doable.core import clock, mail, post
from doable.core.db import Database
from doable.core.jobs import MAIL
from doable.core.jobs import worker as worker_module
from doable.core.jobs.tables import jobs
from doable.core.jobs.worker import Worker
from doable.core.mail import Mail
from doable.core.queries import query, scalar
from doable.settings import Settings
from tests.support import asgi
from tests.support.people import API, PASSWORD
from tests.support.waiting import until

STATES = query(scalar, select(jobs.c.state).order_by(jobs.c.created_at))
ERRORS = query(scalar, select(jobs.c.error).order_by(jobs.c.created_at))
ARGS = query(scalar, select(jobs.c.args))
HELLO = Mail("ana@example.com", "Hello", "text")


@dataclass
class Server:
    """Does with each mail what comes first in `fate`: a reply, a wait of seconds, or the loss of the connection."""

    fate: list[str | float | None] = field(default_factory=list)
    attempts: list[EmailMessage] = field(default_factory=list)
    delivered: int = 0
    connections: int = 0
    port: int = 0

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 — its name
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.attempts.append(message)
        fate = self.fate.pop(0) if self.fate else 0.0
        if fate is None:
            assert server.transport is not None
            server.transport.close()
            return "250 never said"
        if isinstance(fate, str):
            return fate
        await asyncio.sleep(fate)
        self.delivered += 1
        return "250 OK"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with _serving() as server:
        yield server


@pytest.fixture
def settings(settings: Settings, server: Server) -> Settings:
    return settings.model_copy(update={"smtp_url": SecretStr(f"smtp://127.0.0.1:{server.port}")})


@pytest.fixture
def db(running: asgi.Running) -> Database:
    found: Database = running.state["db"]
    return found


@pytest.fixture
def worker(running: asgi.Running) -> Worker:
    found: Worker = running.state["worker"]
    return found


async def _send(db: Database, mail: Mail = HELLO) -> None:
    async with db.transaction() as tx:
        await post.write_to(tx, mail)


async def _let_pauses_pass(db: Database) -> None:
    async with db.transaction() as tx:
        past = clock.now() - dt.timedelta(seconds=1)
        await tx.execute(update(jobs).values(run_at=past).where(jobs.c.state == "waiting"))


@pytest.mark.parametrize("fate", ["451 4.7.1 Greylisted", "421 Too busy", None], ids=["greylisted", "busy", "dropped"])
async def test_what_fails_for_now_is_sent_later_as_the_same_mail(
    db: Database, worker: Worker, server: Server, fate: str | None
) -> None:
    server.fate = [fate, fate]
    await _send(db)
    for _ in range(3):
        await worker.drain()
        await _let_pauses_pass(db)
    assert await db.reads.all(STATES) == ["done"]
    assert (server.delivered, len(server.attempts)) == (1, 3)
    assert len({message["Message-ID"] for message in server.attempts}) == 1
    assert len({message["Date"] for message in server.attempts}) == 1


async def test_what_is_refused_for_good_is_dead_at_once_and_says_why(
    db: Database, worker: Worker, server: Server
) -> None:
    server.fate = ["550 5.1.1 ana@example.com is nobody"]
    await _send(db)
    await _send(db)
    await worker.drain()
    assert sorted(await db.reads.all(STATES)) == ["dead", "done"]
    (why,) = [error for error in await db.reads.all(ERRORS) if error]
    assert "550" in why
    assert "ana" not in why
    assert await db.reads.all(ARGS) == ["", ""], "a mail may hold the secret of a reset"


async def test_many_mails_do_not_wait_for_each_other(db: Database, worker: Worker, server: Server) -> None:
    server.fate = [1.0] * 8
    for _ in range(8):
        await _send(db)
    before = clock.monotonic()
    await worker.drain()
    assert server.delivered == 8
    assert clock.monotonic() - before < 6


async def test_a_reset_is_mailed_in_two_forms_and_works(
    client: httpx2.AsyncClient, worker: Worker, server: Server
) -> None:
    form = {"email": "ana@example.com", "username": "ana", "password": PASSWORD, "confirm_password": PASSWORD}
    assert (await client.post(f"{API}/users", json=form)).status_code == 201
    assert (await client.post(f"{API}/auth/password-reset", json={"email": "ana@example.com"})).status_code == 202
    await worker.drain()
    (message,) = [each for each in server.attempts if "password" in each["Subject"]]
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    link = next(line for line in plain.get_content().splitlines() if line.startswith("http"))
    assert f'<a href="{link}">' in html.get_content().replace("=\n", "")
    token = link.partition("#token=")[2]
    new = "another long walk 43"
    confirm = {"token": token, "password": new, "confirm_password": new}
    assert (await client.post(f"{API}/auth/password-reset/confirm", json=confirm)).status_code == 204
    assert (await client.post(f"{API}/auth/login", json={"login": "ana", "password": new})).status_code == 200


async def test_who_deletes_an_account_leaves_no_mail_to_it(
    client: httpx2.AsyncClient, worker: Worker, server: Server, db: Database
) -> None:
    server.fate = ["550 Nobody", "451 Not now"]
    form = {"email": "ana@example.com", "username": "ana", "password": PASSWORD, "confirm_password": PASSWORD}
    assert (await client.post(f"{API}/users", json=form)).status_code == 201
    await worker.drain()
    assert (await client.post(f"{API}/auth/password-reset", json={"email": "ana@example.com"})).status_code == 202
    await worker.drain()
    await _send(db, Mail("diana@example.com", "Hello", "text"))
    login = (await client.post(f"{API}/auth/login", json={"login": "ana", "password": PASSWORD})).json()
    bearer = {"Authorization": f"Bearer {login['access_token']}"}
    has_text = (jobs.c.args != "").label("has_text")
    mails = select(jobs.c.state, has_text).where(jobs.c.queue == "mail").order_by(jobs.c.created_at)
    shown = query(lambda state, has_text: (state, has_text), mails)
    assert await db.reads.all(shown) == [("dead", False), ("waiting", True), ("waiting", True)]
    gone = await client.request("DELETE", f"{API}/users/me", json={"current_password": PASSWORD}, headers=bearer)
    assert gone.status_code == 204, gone.text
    assert await db.reads.all(shown) == [("dead", False), ("cancelled", False), ("waiting", True)]


async def _register_and_more(client: httpx2.AsyncClient) -> None:
    """What sends a mail each, and a login."""
    for name in ("ana", "bob"):
        form = {"email": f"{name}@example.com", "username": name, "password": PASSWORD, "confirm_password": PASSWORD}
        assert (await client.post(f"{API}/users", json=form)).status_code == 201
        assert (await client.post(f"{API}/users", json=form)).status_code == 409
        assert (await client.post(f"{API}/auth/login", json={"login": name, "password": PASSWORD})).status_code == 200
        reset = await client.post(f"{API}/auth/password-reset", json={"email": form["email"]})
        assert reset.status_code == 202


async def test_no_request_speaks_to_the_server(client: httpx2.AsyncClient, worker: Worker, server: Server) -> None:
    await _register_and_more(client)
    assert server.connections == 0
    await worker.drain()
    assert server.delivered == 6


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_server_that_hangs_makes_nobody_wait(
    client: httpx2.AsyncClient, worker: Worker, server: Server, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All slots hang when the requests come, and still do when they are answered."""
    monkeypatch.setattr(mail, "COMMAND_SECONDS", 3600.0)
    server.fate = [3600.0] * 100
    await worker.start()
    for _ in range(10):
        await _send(db)
    await until(lambda: len(server.attempts) == MAIL.slots)
    await _register_and_more(client)
    assert (len(server.attempts), server.delivered) == (MAIL.slots, 0)
    monkeypatch.setattr(worker_module, "CLOSE_SECONDS", 0.2)
    await worker.close()
    assert set(await db.reads.all(STATES)) == {"waiting"}


@asynccontextmanager
async def _serving() -> AsyncIterator[Server]:
    server = Server()

    def protocol() -> SMTP:
        server.connections += 1
        return SMTP(server, hostname="localhost", loop=asyncio.get_running_loop())

    listener = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    yield server
    listener.close()
