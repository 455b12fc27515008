"""Mail reaches real SMTP servers, or files, without ever being in a request's way."""

import asyncio
import shutil
import ssl
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from hypothesis import given, settings
from hypothesis import strategies as st

from doable.core import clock, ids, mail
from doable.core.mail import Mail, Mailer, NotDelivered
from doable.settings import Settings
from tests.support.addresses import free_port
from tests.support.configuration import make_settings

LINK = "https://todo.example.com/verify#dbm_this-is-a-secret"
WELCOME = Mail("ana@example.com", "Welcome, Ana Kovač", f"Hello,\n\nfollow this link: {LINK}\n")


@dataclass
class Server:
    """An SMTP server that answers DATA with `replies`, one after the other, and then with 250."""

    port: int = 0
    replies: list[str] = field(default_factory=list)
    refused: frozenset[str] = frozenset()
    hangs: bool = False
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    attempts: list[EmailMessage] = field(default_factory=list)
    accepted: list[Envelope] = field(default_factory=list)
    secure: list[bool] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 — aiosmtpd's name for it
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.refused:
            return "550 5.1.1 No such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 — as above
        assert isinstance(envelope.content, bytes)
        self.attempts.append(parsed(envelope.content))
        self.secure.append(session.ssl is not None)
        self.asked.set()
        if self.hangs:
            await asyncio.sleep(60)
        if self.replies:
            return self.replies.pop(0)
        self.accepted.append(envelope)
        return "250 OK"

    def authenticate(self, _server: SMTP, _session: Session, _envelope: Envelope, _how: str, login: Any) -> AuthResult:
        self.logins.append((login.login, login.password))
        return AuthResult(success=True)


def parsed(content: bytes) -> EmailMessage:
    message = message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


@asynccontextmanager
async def serving(
    server: Server, *, implicit_tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[Server]:
    def protocol() -> SMTP:
        return SMTP(server, hostname="localhost", loop=asyncio.get_running_loop(), **options)

    listener = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=implicit_tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()


@asynccontextmanager
async def mailing_to(
    server: Server, configured: Callable[..., Settings], url: str = "smtp://127.0.0.1:{port}", **options: Any
) -> AsyncIterator[Mailer]:
    """A mailer whose SMTP server this is."""
    async with serving(server, **options):
        yield Mailer(configured(url.format(port=server.port)))


async def deliver(mailer: Mailer, what: Mail) -> None:
    await mailer.deliver(what, ids.new_id(), clock.now())


@pytest.fixture
def configured(tmp_path: Path) -> Callable[..., Settings]:
    def make(smtp_url: str | None = None, **changes: object) -> Settings:
        return make_settings("sqlite:///unused.db", tmp_path, smtp_url=smtp_url, **changes)

    return make


# Files


async def test_without_smtp_a_mail_is_a_file_for_its_owner_only(
    configured: Callable[..., Settings], tmp_path: Path
) -> None:
    with structlog.testing.capture_logs() as logs:
        await deliver(Mailer(configured()), WELCOME)
    (file,) = (tmp_path / "mail").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    message = parsed(file.read_bytes())
    assert message["To"] == "ana@example.com"
    assert message["Subject"] == "Welcome, Ana Kovač"
    assert LINK in message.get_content()
    assert logs == [{"event": "mail_written", "log_level": "info", "path": str(file), "domain": "example.com"}]


async def test_each_mail_has_its_own_file(configured: Callable[..., Settings], tmp_path: Path) -> None:
    for _ in range(20):
        await deliver(Mailer(configured()), WELCOME)
    assert len(list((tmp_path / "mail").iterdir())) == 20


async def test_a_folder_that_cannot_be_written_may_be_writable_later(
    configured: Callable[..., Settings], tmp_path: Path
) -> None:
    (tmp_path / "mail").write_text("a file where the folder should be")
    with pytest.raises(NotDelivered) as refusal:
        await deliver(Mailer(configured()), WELCOME)
    assert not refusal.value.final


# SMTP


async def test_a_mail_arrives_with_the_headers_of_an_automatic_one(configured: Callable[..., Settings]) -> None:
    before = clock.now()
    async with serving(Server()) as server:
        mailer = Mailer(configured(f"smtp://127.0.0.1:{server.port}", mail_from="Todo <todo@host.example>"))
        await deliver(mailer, WELCOME)
    (envelope,), (message,) = server.accepted, server.attempts
    assert envelope.mail_from == "todo@host.example"
    assert envelope.rcpt_tos == ["ana@example.com"]
    assert message["From"] == "Todo <todo@host.example>"
    assert message["To"] == "ana@example.com"
    assert message["Subject"] == "Welcome, Ana Kovač"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"].endswith("@host.example>")
    assert (message["Date"].datetime - before).total_seconds() == pytest.approx(0, abs=60)
    assert message["Date"].datetime.utcoffset().total_seconds() == 0
    assert LINK in message.get_content()


async def test_a_mail_may_have_a_second_form_for_programs_that_show_html(configured: Callable[..., Settings]) -> None:
    server = Server()
    async with mailing_to(server, configured) as mailer:
        await deliver(mailer, replace(WELCOME, html="<p>Hello</p>"))
    (message,) = server.attempts
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert (LINK in plain.get_content(), html.get_content().strip()) == (True, "<p>Hello</p>")


@pytest.mark.parametrize(
    ("server", "code", "final"),
    [
        (Server(replies=["451 4.7.1 Greylisted ana@example.com"]), "451", False),
        (Server(replies=["421 Busy"]), "421", False),
        (Server(replies=["550 5.7.1 ana@example.com is a spammer"]), "550", True),
        (Server(refused=frozenset({"ana@example.com"})), "550", True),
    ],
    ids=["greylisted", "busy", "DATA", "RCPT"],
)
async def test_a_refusal_says_whether_it_is_for_good_and_not_whom_it_was_to(
    configured: Callable[..., Settings], server: Server, code: str, *, final: bool
) -> None:
    async with mailing_to(server, configured) as mailer:
        with pytest.raises(NotDelivered, match=code) as refusal:
            await deliver(mailer, WELCOME)
    assert refusal.value.final == final
    assert "ana" not in str(refusal.value)


async def test_a_server_that_is_not_there_may_come_back(configured: Callable[..., Settings]) -> None:
    with pytest.raises(NotDelivered) as refusal:
        await deliver(Mailer(configured(f"smtp://127.0.0.1:{free_port()}")), WELCOME)
    assert not refusal.value.final


async def test_a_password_that_the_server_does_not_take_may_be_put_right(configured: Callable[..., Settings]) -> None:
    def refuse(*_: object) -> AuthResult:
        return AuthResult(success=False, handled=False)

    url = "smtp://user:wrong@127.0.0.1:{port}"
    async with mailing_to(Server(), configured, url, authenticator=refuse, auth_require_tls=False) as mailer:
        with pytest.raises(NotDelivered, match="535") as refusal:
            await deliver(mailer, WELCOME)
    assert not refusal.value.final


async def test_a_server_that_lets_nobody_in_may_do_so_later(configured: Callable[..., Settings]) -> None:
    async def turn_away(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"554 No service for you\r\n")
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(turn_away, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises(NotDelivered, match="554") as refusal:
            await deliver(Mailer(configured(f"smtp://127.0.0.1:{port}")), WELCOME)
    assert not refusal.value.final


async def test_a_server_that_hangs_is_given_up(
    configured: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(hangs=True)
    monkeypatch.setattr(mail, "COMMAND_SECONDS", 0.3)
    async with mailing_to(server, configured) as mailer:
        with pytest.raises(NotDelivered) as refusal:
            await deliver(mailer, WELCOME)
    assert not refusal.value.final


# Credentials and TLS


async def test_credentials_are_percent_decoded(configured: Callable[..., Settings]) -> None:
    server = Server()
    url = "smtp://us%40er:p%2Fa%3As%25s@127.0.0.1:{port}"
    async with mailing_to(server, configured, url, authenticator=server.authenticate, auth_require_tls=False) as mailer:
        await deliver(mailer, WELCOME)
    assert server.logins == [(b"us@er", b"p/a:s%s")]
    assert len(server.accepted) == 1


@dataclass(frozen=True)
class Certificate:
    file: Path
    context: ssl.SSLContext


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate of its own authority for this machine's addresses."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    file, key = folder / "cert.pem", folder / "key.pem"
    names = "subjectAltName=IP:127.0.0.1,IP:0.0.0.0,DNS:localhost"
    subprocess.run(
        [
            *["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"],
            *["-addext", names, "-keyout", str(key), "-out", str(file)],
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file, key)
    return Certificate(file, context)


@pytest.fixture
def trusted(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> Certificate:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    return certificate


async def test_smtps_begins_with_tls(configured: Callable[..., Settings], trusted: Certificate) -> None:
    server = Server()
    async with mailing_to(server, configured, "smtps://127.0.0.1:{port}", implicit_tls=trusted.context) as mailer:
        await deliver(mailer, WELCOME)
    assert len(server.accepted) == 1


async def test_a_server_with_a_certificate_of_nobody_gets_nothing(
    configured: Callable[..., Settings], certificate: Certificate
) -> None:
    server, url = Server(), "smtps://127.0.0.1:{port}"
    async with mailing_to(server, configured, url, implicit_tls=certificate.context) as mailer:
        with pytest.raises(NotDelivered):
            await deliver(mailer, WELCOME)
    assert not server.attempts


# On Linux a connection to 0.0.0.0 reaches this machine, though that is no loopback address.
elsewhere = pytest.mark.skipif(sys.platform != "linux", reason="needs an address here that does not look like here")


@elsewhere
async def test_smtp_to_another_machine_turns_to_tls(configured: Callable[..., Settings], trusted: Certificate) -> None:
    server = Server()
    options: dict[str, Any] = {
        "tls_context": trusted.context,
        "authenticator": server.authenticate,
        "auth_required": True,
    }
    async with mailing_to(server, configured, "smtp://ana:secret@0.0.0.0:{port}", **options) as mailer:
        await deliver(mailer, WELCOME)
    assert server.secure == [True]
    assert server.logins == [(b"ana", b"secret")]


@elsewhere
async def test_a_server_elsewhere_that_cannot_turn_to_tls_gets_nothing(configured: Callable[..., Settings]) -> None:
    server = Server()
    options: dict[str, Any] = {"authenticator": server.authenticate, "auth_require_tls": False}
    async with mailing_to(server, configured, "smtp://ana:secret@0.0.0.0:{port}", **options) as mailer:
        with pytest.raises(NotDelivered):
            await deliver(mailer, WELCOME)
    assert not server.attempts
    assert not server.logins


# Addresses and headers


@pytest.mark.parametrize(
    ("to", "recipient"),
    [
        ("ana@bücher.de", "ana@xn--bcher-kva.de"),
        ("čačak@example.com", "čačak@example.com"),
        ("a+b'c@example.com", "a+b'c@example.com"),
    ],
)
async def test_an_international_address_is_reached(
    configured: Callable[..., Settings], to: str, recipient: str
) -> None:
    server = Server()
    async with mailing_to(server, configured, enable_SMTPUTF8=True) as mailer:
        await deliver(mailer, Mail(to, "Hello", "text"))
    assert [envelope.rcpt_tos for envelope in server.accepted] == [[recipient]]
    assert server.attempts[0]["To"] == recipient


@pytest.mark.parametrize(
    "to",
    [
        *[
            "ana@example.com\nBcc: eve@example.com",
            "ana@example.com\r\n",
            "ana@example.com, eve@example.com",
            "",
            "ana",
        ],
        *[
            "Ana <ana@example.com>",
            "ana@example.com\x00",
            "ana@example.com> SIZE=1",
            "ana @example.com",
            "\ud800@example.com",
        ],
    ],
)
def test_an_address_is_exactly_one(to: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Mail(to, "Subject", "text")


def test_a_mail_does_not_show_its_text() -> None:
    assert LINK not in repr(WELCOME)


@pytest.mark.parametrize(
    "subject", ["a\nBcc: eve@example.com", "a\r\nX: y", "a\r", "a\x00", "a\x1b[0m", "a\u2028b", "a\u202eb", "\udcff"]
)
def test_a_subject_is_one_line(subject: str) -> None:
    with pytest.raises(ValueError, match="subject"):
        Mail("ana@example.com", subject, "text")


@settings(deadline=None)
@given(st.text(), st.text(st.characters(exclude_categories=["Cs"])))
def test_no_subject_and_no_text_adds_a_header_or_a_recipient(subject: str, text: str) -> None:
    try:
        written = Mail("ana@example.com", subject, text)
    except ValueError:
        return
    letter = mail._letter(mail._sender("Todo <todo@host.example>"), written, ids.new_id(), clock.now())
    message = parsed(letter.message.as_bytes())
    assert sorted(key.lower() for key in message) == [
        *["auto-submitted", "content-transfer-encoding", "content-type", "date", "from", "message-id", "mime-version"],
        *["subject", "to"],
    ]
    assert message["To"] == "ana@example.com"
    assert letter.recipient == "ana@example.com"


@pytest.mark.parametrize(
    "url", ["http://mail.example.com", "mail.example.com", "smtp://", "smtp://:25", "smtps:mail", "smtp://h:x"]
)
def test_a_bad_smtp_url_stops_the_start(configured: Callable[..., Settings], url: str) -> None:
    with pytest.raises(ValueError, match=r"SMTP_URL|[Pp]ort"):
        Mailer(configured(url))


@pytest.mark.parametrize("sender", ["", "Doable", "a@b.co, c@d.co", "<>", "a@", "Doable <doable@localhost"])
def test_a_bad_sender_stops_the_start(configured: Callable[..., Settings], sender: str) -> None:
    with pytest.raises(ValueError, match="MAIL_FROM"):
        Mailer(configured(mail_from=sender))
