"""What accounts leave to a worker: what is of no use any more goes, whether or not its owner comes back."""

from datetime import timedelta

from doable.accounts import attempts
from doable.accounts.statements import attempts as attempt_statements
from doable.accounts.statements import sessions, tickets, tokens
from doable.core import clock, housekeeping
from doable.core.jobs import Run, periodic

KEPT = timedelta(days=30)
"""How long a session that has ended is still there, with the address and the program that it was used from."""


@periodic("accounts.sweep", timedelta(hours=1))
async def sweep(run: Run) -> None:
    now, db = clock.now(), run.tools.db
    await housekeeping.in_turns(db, sessions.SWEEP_SESSIONS, before=now - KEPT, at=now)
    await housekeeping.in_turns(db, attempt_statements.SWEEP_ATTEMPTS, before=now - attempts.FORGOTTEN_AFTER)
    await housekeeping.in_turns(db, tokens.SWEEP_MAILED_TOKENS, before=now)
    await housekeeping.in_turns(db, tickets.SWEEP_TICKETS, before=now)


JOBS = (sweep,)
