"""Mail to one person, delivered by SMTP where that is configured, else written to a file."""

import asyncio
import os
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import unquote, urlsplit
from uuid import UUID

import aiosmtplib
import structlog
from email_validator import validate_email

from doable.core import text
from doable.settings import Settings

COMMAND_SECONDS = 10.0
SEND_SECONDS = 30.0

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one person. Raises `ValueError` for what would not stay in its header."""

    to: str
    subject: str
    text: str = field(repr=False)  # it may hold a link that is a credential
    html: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        validate_email(self.to, check_deliverability=False)
        if text.fault(self.subject, bidi=False) is not None:
            raise ValueError("a subject is one line without control characters")

    @property
    def domain(self) -> str:
        """All that the log says of the recipient."""
        return self.to.rpartition("@")[2]


class NotDelivered(Exception):
    """`final`: it will be the same the next time."""

    def __init__(self, message: str, *, final: bool) -> None:
        super().__init__(message)
        self.final = final


class Mailer:
    """Delivers one mail at a time to SMTP, or to a folder. It may take long: call it outside of requests."""

    def __init__(self, settings: Settings) -> None:
        self._sender = _sender(settings.mail_from)
        self._outlet: _Outlet = _Folder(settings.data_dir / "mail")
        if settings.smtp_url is not None:
            self._outlet = _Smtp.at(settings.smtp_url.get_secret_value())

    async def deliver(self, mail: Mail, id_: UUID, at: datetime) -> None:
        """Raises `NotDelivered`. The Message-ID is made of `id_`: a mail that arrives twice is seen as one."""
        letter = await asyncio.to_thread(_letter, self._sender, mail, id_, at)
        try:
            await self._outlet.deliver(letter)
        except (aiosmtplib.SMTPException, OSError) as error:
            # An SMTP server's words may repeat the address, so they stay out of the log.
            code = _code(error)
            message = type(error).__name__ if code is None else f"{type(error).__name__} {code}"
            raise NotDelivered(f"{message} ({letter.domain})", final=_is_final(error)) from None


class _Letter(NamedTuple):
    id: UUID
    message: EmailMessage
    sender: str
    recipient: str
    domain: str


class _Outlet(Protocol):
    async def deliver(self, letter: _Letter) -> None: ...


@dataclass(frozen=True, slots=True)
class _Folder:
    path: Path

    async def deliver(self, letter: _Letter) -> None:
        file = self.path / f"{letter.id}.eml"
        await asyncio.to_thread(_write, file, letter.message)
        _log.info("mail_written", path=str(file), domain=letter.domain)


@dataclass(frozen=True, slots=True)
class _Smtp:
    host: str
    port: int
    username: str | None
    password: str | None
    use_tls: bool
    start_tls: bool
    trust: ssl.SSLContext | None  # made once: it reads files

    @classmethod
    def at(cls, url: str) -> "_Smtp":
        """`smtp://` turns to TLS before anything is said, except to this very machine; `smtps://` begins with it."""
        parts = urlsplit(url)
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
            raise ValueError("SMTP_URL must be smtp://USER:PASSWORD@HOST:587 or smtps://USER:PASSWORD@HOST:465")
        tls = parts.scheme == "smtps"
        start_tls = not tls and not _is_loopback(parts.hostname)
        return cls(
            host=parts.hostname,
            port=parts.port or (465 if tls else 587),
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            use_tls=tls,
            start_tls=start_tls,
            trust=ssl.create_default_context() if tls or start_tls else None,
        )

    async def deliver(self, letter: _Letter) -> None:
        client = aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            username=self.username,
            password=self.password,
            use_tls=self.use_tls,
            start_tls=self.start_tls,
            tls_context=self.trust,
            timeout=COMMAND_SECONDS,
        )
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await client.connect()
                await client.send_message(letter.message, sender=letter.sender, recipients=[letter.recipient])
                with suppress(aiosmtplib.SMTPException):  # it has the mail
                    await client.quit()
        finally:
            client.close()  # without a farewell, for which a server that hangs would be waited for
        _log.info("mail_sent", message_id=letter.message["Message-ID"], domain=letter.domain)


def _sender(mail_from: str) -> Address:
    found: tuple[Address, ...] = ()
    with suppress(IndexError):  # the parser of Python 3.12 runs over the end of "ana@"
        header = SMTPUTF8.header_factory("From", mail_from)
        found = () if header.defects else header.addresses
    if len(found) != 1 or not found[0].domain:
        raise ValueError("MAIL_FROM must be one address such as Doable <doable@example.com>")
    return found[0]


def _letter(sender: Address, mail: Mail, id_: UUID, at: datetime) -> _Letter:
    address = validate_email(mail.to, check_deliverability=False)
    recipient = address.ascii_email or address.normalized
    username, _, domain = recipient.rpartition("@")
    message = EmailMessage(SMTP if recipient.isascii() else SMTPUTF8)
    message["From"] = sender
    message["To"] = Address(username=username, domain=domain)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<{id_}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    if mail.html is not None:
        message.add_alternative(mail.html, subtype="html")
    return _Letter(id_, message, sender.addr_spec, recipient, mail.domain)


def _write(file: Path, message: EmailMessage) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(file, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
        out.write(message.as_bytes())


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _code(error: Exception) -> int | None:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return error.recipients[0].code
    return error.code if isinstance(error, aiosmtplib.SMTPResponseException) else None


def _is_final(error: Exception) -> bool:
    """What is refused of the recipient or the text for good; a server that does not let us in will be put right."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused | aiosmtplib.SMTPDataError):
        return (_code(error) or 0) >= 500  # noqa: PLR2004
    return False
