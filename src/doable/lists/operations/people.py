"""What becomes of lists when something happens to a person: the reactions to facts of accounts."""

from uuid import UUID

from doable.accounts.events import UserDeleted, UserRenamed
from doable.core import clock, jobs, streams
from doable.core import events as log
from doable.core.db import Transaction
from doable.core.errors import AppException, Code
from doable.core.events import Operation
from doable.lists import events
from doable.lists.events import MemberLeft
from doable.lists.operations import purging
from doable.lists.statements import membership, people


async def rename(tx: Transaction, fact: UserRenamed) -> None:
    """Each list of the person has the new name in its log."""
    await _lock_all(tx, fact.user_id)
    rows = await tx.all(membership.MEMBERSHIPS, actor_id=fact.user_id)
    told = {
        row.list_id: [
            events.member_updated(row._replace(username=fact.before), row._replace(username=fact.after)),
        ]
        for row in rows
    }
    await log.record(tx, _now(fact.cause), told)


async def forget(tx: Transaction, fact: UserDeleted) -> None:
    """Delete a leaving person's own lists, and let him leave the others. Raises `OWNS_SHARED_LISTS`.

    There may be more in his lists than one transaction can delete: from now on nobody sees them, and a job purges them.
    """
    await _lock_all(tx, fact.user_id)
    if shared := await tx.all(people.OWNED_AND_SHARED, actor_id=fact.user_id):
        message = "Give these lists to somebody else, or remove their members, first."
        raise AppException(Code.OWNS_SHARED_LISTS, message, {"list_ids": [str(list_id) for list_id in shared]})
    cause = _now(fact.cause)
    rows = await tx.all(membership.MEMBERSHIPS, actor_id=fact.user_id)
    own = [row.list_id for row in rows if row.role == "owner"]
    foreign = [row.list_id for row in rows if row.role != "owner"]
    for list_id in foreign:
        await tx.tell(MemberLeft(list_id, fact.user_id, cause))
    left = {list_id: [events.member_removed(fact.user_id)] for list_id in foreign}
    # Nobody reads these; but who is about to write there has to find a stream that has moved.
    await log.record(tx, cause, left | {list_id: [events.deleted()] for list_id in own})
    await tx.execute(people.ERASE_NAME, person_id=fact.user_id, nameless=events.nameless(fact.user_id))
    await tx.execute(people.ABANDON, actor_id=fact.user_id, long_ago=purging.LONG_AGO)
    await tx.execute(people.DELETE_MEMBERSHIPS, actor_id=fact.user_id)
    await jobs.enqueue(tx, purging.purge_lists_of, fact.user_id)


async def _lock_all(tx: Transaction, user_id: UUID) -> None:
    """All streams that have to do with somebody whose account is locked, so that no list can be added to them."""
    rows = await tx.all(membership.MEMBERSHIPS, actor_id=user_id)
    await streams.lock(tx, [user_id, *(row.list_id for row in rows)])


def _now(cause: Operation) -> Operation:
    """After the wait for the locks: the log's instants rise with its revisions."""
    return cause._replace(at=clock.now())
