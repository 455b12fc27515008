"""Mail that is sent because something happened: a job of the transaction in which it happens."""

from pydantic_core import to_json

from doable.core import jobs
from doable.core.db import Transaction
from doable.core.jobs import JobFailed, Run, job, statements
from doable.core.mail import SEND_SECONDS, Mail, NotDelivered


@job("mail.send", queue=jobs.MAIL, limit=SEND_SECONDS + 5, secret=True)
async def send(run: Run, args: Mail) -> None:
    await deliver(run, args)


async def deliver(run: Run, mail: Mail) -> None:
    """What a job does whose business is this mail: each attempt sends it under the same Message-ID."""
    try:
        await run.tools.mailer.deliver(mail, run.job_id, run.enqueued_at)
    except NotDelivered as error:
        raise JobFailed(str(error), final=error.final) from error


async def write_to(tx: Transaction, mail: Mail, *, wanted: bool = True) -> None:
    """Have a mail sent, once the transaction commits; the sender of the request does not wait for it."""
    await jobs.enqueue(tx, send, mail, wanted=wanted)


async def forget(tx: Transaction, to: str) -> None:
    """Send nothing more to this address, and keep nothing of what could not be sent."""
    prefix = f'{{"to":{to_json(to).decode()},'  # the first field of a Mail
    await tx.execute(statements.CANCEL_GIVEN, of_queue=jobs.MAIL.name, prefix=prefix)
