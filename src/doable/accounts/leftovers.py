"""What is of no use any more is deleted now and then, whether or not its owner comes back."""

import asyncio
from datetime import datetime, timedelta

import structlog

from doable.accounts import attempts
from doable.accounts.statements import attempts as attempt_statements
from doable.accounts.statements import sessions, tickets
from doable.core import clock
from doable.core.db import Database

INTERVAL = 3600.0
KEPT = timedelta(days=30)
"""How long a session that has ended is still there, with the address and the program that it was used from."""
_MOST = 500

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Leftovers:
    """Several processes may sweep at once: each passes over what another has in hand."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._sweep_always(), name="leftovers")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def sweep(self) -> None:
        """In short transactions, so that nobody waits for long."""
        now = clock.now()
        while await self._swept_sessions(now - KEPT, now):
            pass
        while await self._swept_tickets(now):
            pass
        while await self._swept_attempts(now - attempts.FORGOTTEN_AFTER):
            pass

    async def _swept_sessions(self, before: datetime, now: datetime) -> bool:
        async with self._db.transaction() as tx:
            return await tx.execute(sessions.SWEEP_SESSIONS, before=before, at=now, most=_MOST) == _MOST

    async def _swept_tickets(self, before: datetime) -> bool:
        async with self._db.transaction() as tx:
            return await tx.execute(tickets.SWEEP_TICKETS, before=before, most=_MOST) == _MOST

    async def _swept_attempts(self, before: datetime) -> bool:
        async with self._db.transaction() as tx:
            return await tx.execute(attempt_statements.SWEEP_ATTEMPTS, before=before, most=_MOST) == _MOST

    async def _sweep_always(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self.sweep()
            except Exception:  # noqa: BLE001 — the next sweep finds the same and more
                _log.exception("leftovers_not_swept")
