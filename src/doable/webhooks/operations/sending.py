"""Deliveries go out, to each webhook one after the other: a slow receiver makes nobody wait but itself.

Those that fail have a queue of their own, so that many receivers that hang make nobody wait but each other.
"""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import NamedTuple
from uuid import UUID

from doable.core import clock, jobs
from doable.core.db import Transaction
from doable.core.jobs import FAILING_WEBHOOKS, WEBHOOKS, Run, job
from doable.core.outbound import TOTAL_SECONDS, Answer, FailedError, Outbound, RefusedError
from doable.webhooks import schedule, shapes, signatures, statements
from doable.webhooks.schemas import PING
from doable.webhooks.statements import DeliveryRow, Target
from doable.webhooks.tables import ACTIVE, DISABLED, PAUSED

TURN_SECONDS = 20.0
"""After so long the others have theirs."""
LIMIT = TURN_SECONDS + 2 * TOTAL_SECONDS
HELD = timedelta(seconds=TOTAL_SECONDS + 5)
OVERLAP = timedelta(days=1)
"""How long the previous secret signs as well."""


class Taken(NamedTuple):
    """A delivery to be sent; no `body`: there is nothing any more that its receiver may be told.

    `failing`: by those who send to receivers that fail.
    """

    target: Target
    delivery: DeliveryRow
    body: bytes | None
    until: datetime
    failing: bool


class Outcome(NamedTuple):
    """The status of the answer, if there was one. `final`: trying again is useless."""

    status: int | None = None
    retry_after: str | None = None
    final: bool = False

    @property
    def is_success(self) -> bool:
        return self.status is not None and HTTPStatus(200) <= self.status < HTTPStatus(300)


async def enqueue(tx: Transaction, webhook_id: UUID, run_at: datetime | None = None) -> None:
    """Have what is due sent; while somebody is at it already, it is that one who finds it."""
    key = None if run_at is not None else f"webhook:{webhook_id}"
    await jobs.enqueue(tx, deliver, webhook_id, run_at=run_at, key=key)


@job("webhooks.deliver", queue=WEBHOOKS, limit=LIMIT)
async def deliver(run: Run, webhook_id: UUID) -> None:
    async with run.tools.db.transaction() as tx:
        failing = await tx.first(statements.FAILING, webhook_id=webhook_id)
        if failing:
            await jobs.enqueue(tx, persist, webhook_id, key=f"failing:{webhook_id}")
    if not failing:
        await _deliver(run, webhook_id, failing=False)


@job("webhooks.persist", queue=FAILING_WEBHOOKS, limit=LIMIT)
async def persist(run: Run, webhook_id: UUID) -> None:
    await _deliver(run, webhook_id, failing=True)


async def _deliver(run: Run, webhook_id: UUID, *, failing: bool) -> None:
    db, began = run.tools.db, clock.monotonic()
    async with db.transaction() as tx:
        taken = await take(tx, webhook_id, failing=failing)
    while taken is not None:
        outcome = await send(run.tools.outbound, taken)
        is_over = clock.monotonic() - began > TURN_SECONDS
        async with db.transaction() as tx:
            taken = await settle(tx, taken, outcome, is_over=is_over)


async def take(tx: Transaction, webhook_id: UUID, held_until: datetime | None = None, *, failing: bool) -> Taken | None:
    """What is to be sent next, unless another worker is at it; with nothing left the webhook is let go.

    While it is paused or disabled only pings are sent. Both happen under the lock of the webhook: so whoever comes with
    something new finds it free, or is seen.
    """
    target = await tx.first(statements.TARGET, webhook_id=webhook_id)
    if target is None:
        return None
    if target.is_busy and target.busy_until != held_until:
        # Nothing else may come to wake anybody, should that worker die.
        key = f"webhook-held:{webhook_id}"
        await jobs.enqueue(tx, deliver, webhook_id, run_at=target.busy_until, key=key)
        return None
    kind = None if target.status == ACTIVE else PING
    delivery = await tx.first(statements.DUE, webhook_id=webhook_id, kind=kind)
    if target.is_resting:
        delivery = None
    until = clock.now() + HELD if delivery is not None else None
    if until != target.busy_until:
        await tx.execute(statements.HOLD, webhook_id=webhook_id, until=until)
    if delivery is None or until is None:
        return None
    await tx.execute(statements.COUNT, delivery_id=delivery.id)
    delivery = delivery._replace(attempts=delivery.attempts + 1)
    return Taken(target, delivery, await _body(tx, target, delivery), until, failing)


async def send(outbound: Outbound, taken: Taken) -> Outcome:
    if taken.body is None:
        return Outcome(final=True)
    now, target = clock.now(), taken.target
    secrets = [target.secret]
    if target.previous_secret is not None and target.renewed_at is not None and now < target.renewed_at + OVERLAP:
        secrets.append(target.previous_secret)
    try:
        answer: Answer = await outbound.post(
            target.url, signatures.headers(taken.delivery.id, now, taken.body, secrets), taken.body
        )
    except RefusedError:
        return Outcome(final=True)
    except FailedError:
        return Outcome()
    return Outcome(answer.status, answer.retry_after, final=taken.delivery.kind == PING)


async def settle(tx: Transaction, taken: Taken, outcome: Outcome, *, is_over: bool) -> Taken | None:
    """Write down how it went, and take the next."""
    target, delivery = taken.target, taken.delivery
    current = await tx.first(statements.TARGET, webhook_id=target.id)
    if current is None or current.busy_until != taken.until:
        return None  # deleted, or taken over by another worker, which sends the same again
    if outcome.is_success:
        await tx.execute(statements.DELIVER, delivery_id=delivery.id, answered=outcome.status)
        if current.failing_since is not None:
            await tx.execute(statements.WORKS, webhook_id=target.id)
    else:
        await _fail(tx, current, delivery, outcome)
    if is_over or not (outcome.is_success or taken.failing):
        await tx.execute(statements.HOLD, webhook_id=target.id, until=None)
        await enqueue(tx, target.id)
        return None
    return await take(tx, target.id, taken.until, failing=taken.failing)


async def _fail(tx: Transaction, target: Target, delivery: DeliveryRow, outcome: Outcome) -> None:
    now = clock.now()
    wish = schedule.wish(outcome.retry_after, now)
    pause = None if outcome.final else schedule.pause(delivery.attempts)
    if outcome.status == HTTPStatus.GONE:
        pause = None
    if pause is None:
        await tx.execute(statements.BURY, delivery_id=delivery.id, answered=outcome.status)
    else:
        next_at = now + max(pause, wish)
        await tx.execute(statements.FAIL, delivery_id=delivery.id, answered=outcome.status, next_at=next_at)
        await enqueue(tx, target.id, next_at)
    if outcome.status == HTTPStatus.GONE:
        await _stop(tx, target, DISABLED, now)
    elif target.status == ACTIVE:  # else its owner has paused it, and what waits is to wait
        since = target.failing_since or now
        resumes_at = now + wish if pause and wish else None
        await tx.execute(statements.FAILS, webhook_id=target.id, since=since, resumes_at=resumes_at)
        if now - since >= schedule.PATIENCE:
            await _stop(tx, target, PAUSED, now)


async def _stop(tx: Transaction, target: Target, status: str, now: datetime) -> None:
    await tx.execute(statements.STOP, webhook_id=target.id, new_status=status, now=now)
    await tx.execute(statements.BURY_ALL, of_webhook=target.id)


async def _body(tx: Transaction, target: Target, delivery: DeliveryRow) -> bytes | None:
    """Of an event that is in the log still, and that the maker of the webhook may see still."""
    if delivery.body is not None:
        return delivery.body.encode()
    event = await tx.first(
        statements.EVENT, list_id=delivery.list_id, revision=delivery.revision, user_id=target.user_id
    )
    return None if event is None else shapes.body(event)
