"""Where what a started server sends arrives: a mail server, and a receiver of webhooks that keeps all it got."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy

from aiosmtpd.smtp import SMTP, Envelope, Session


class Mails:
    """`arrived`: how often each mail has come, by its address and its id."""

    def __init__(self) -> None:
        self.port = 0
        self.arrived: Counter[tuple[str, str]] = Counter()

    @property
    def addresses(self) -> set[str]:
        return {address for address, _ in self.arrived}

    @property
    def doubled(self) -> int:
        return sum(self.arrived.values()) - len(self.arrived)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 — its name
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=policy.default)
        for address in envelope.rcpt_tos:
            self.arrived[address, str(message["Message-ID"])] += 1
        return "250 OK"


@asynccontextmanager
async def receiving_mails() -> AsyncIterator[Mails]:
    mails = Mails()

    def protocol() -> SMTP:
        return SMTP(mails, hostname="localhost", loop=asyncio.get_running_loop())

    listener = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    mails.port = listener.sockets[0].getsockname()[1]
    yield mails
    listener.close()
