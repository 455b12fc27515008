"""Tickets: what a browser shows instead of its token where it can send no header. Good for once, and for moments."""

from datetime import timedelta

from doable.accounts.access import Actor, still
from doable.accounts.statements import tickets as statements
from doable.accounts.statements.tickets import TicketRow
from doable.core import clock, tokens
from doable.core.db import Database, Transaction

PREFIX = "dbk_"
LIFETIME = timedelta(seconds=30)


async def create(tx: Transaction, actor: Actor) -> str:
    """It ends with the session or API token that asks for it."""
    await still(tx, actor)
    ticket = tokens.new_token(PREFIX)
    await tx.execute(
        statements.INSERT_TICKET,
        digest=tokens.digest(ticket),
        user_id=actor.user_id,
        session_id=actor.session_id,
        token_id=actor.token_id,
        expires_at=clock.now() + LIFETIME,
    )
    return ticket


async def redeem(db: Database, ticket: str) -> TicketRow | None:
    """Of all who show a ticket at once, one gets what it stands for."""
    digest = tokens.digest(ticket)
    # Who invents tickets keeps nobody from writing.
    if not ticket.startswith(PREFIX) or await db.reads.first(statements.TICKET_EXISTS, digest=digest) is None:
        return None
    async with db.transaction() as tx:
        row = await tx.first(statements.USE_TICKET, digest=digest)
    return row if row is not None and row.expires_at > clock.now() else None
