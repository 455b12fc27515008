"""Who is in a list with which role: changes, removal, leaving, and a new owner."""

from uuid import UUID

from doable.accounts.access import Actor
from doable.accounts.statements import users
from doable.core import clock, streams
from doable.core import events as log
from doable.core.changes import Changed
from doable.core.db import SerializationFailure, Transaction
from doable.core.errors import AppException, Code, not_found
from doable.core.mailboxes import mailbox
from doable.core.queries import Reader
from doable.lists import access, events, statements
from doable.lists.events import MemberLeft
from doable.lists.operations import creation, editing
from doable.lists.statements import ListRow, invitations
from doable.lists.statements import membership as members
from doable.lists.statements.membership import MemberRow


async def change_role(tx: Transaction, actor: Actor, list_id: UUID, user_id: UUID, role: str) -> Changed[MemberRow]:
    """Raises `CONFLICT` for the owner, who can only give the list to somebody else."""

    async def find(reader: Reader) -> MemberRow:
        row = await access.member(reader, actor, list_id, user_id)
        access.require(row.actor_role, access.OWNERS)
        _refuse_owner(row)
        return row

    before = await find(tx.ahead)
    if before.role == role:
        return Changed(before, None)
    await streams.lock(tx, [list_id, user_id])
    before = await find(tx)
    if before.role == role:
        return Changed(before, None)
    after = before._replace(role=role)
    await tx.execute(members.SET_ROLE, home_id=list_id, member_id=user_id, new_role=role)
    told = {list_id: [events.member_updated(before, after)], user_id: [events.role_changed(list_id, role)]}
    raised = await log.record(tx, log.operation(actor.user_id, clock.now()), told)
    return Changed(after, raised[list_id])


async def remove(tx: Transaction, actor: Actor, list_id: UUID, user_id: UUID) -> int:
    """Remove a member or leave. The revision of `member.removed`, the last event that he is ever sent.

    Raises `CONFLICT` for the owner. When somebody is removed, the open invitations that he has sent are revoked with
    those to him: he may hold their secrets.
    """

    async def find(reader: Reader) -> MemberRow:
        row = await access.member(reader, actor, list_id, user_id)
        if user_id != actor.user_id:
            access.require(row.actor_role, access.OWNERS)
        _refuse_owner(row)
        return row

    await find(tx.ahead)
    await streams.lock(tx, [list_id, user_id])
    member = await find(tx)
    cause = log.operation(actor.user_id, clock.now())
    await tx.tell(MemberLeft(list_id, user_id, cause))
    await tx.execute(members.DELETE_MEMBER, list_id=list_id, user_id=user_id)
    if user_id != actor.user_id:
        box = mailbox(member.email) if member.email_verified_at is not None else None
        await tx.execute(invitations.REVOKE_OF, home_id=list_id, box=box, sender_id=user_id)
    raised = await log.record(tx, cause, {list_id: [events.member_removed(user_id)], user_id: [events.left(list_id)]})
    return raised[list_id]


async def transfer(tx: Transaction, actor: Actor, list_id: UUID, user_id: UUID) -> Changed[ListRow]:
    """Give a list to one of its members; the owner of before stays as an editor.

    Raises `CONFLICT` for the inbox and for somebody who cannot use it, `LIMIT_REACHED` for somebody who has too many.
    """

    async def find(reader: Reader) -> tuple[ListRow, MemberRow]:
        home = await access.managed(reader, actor, list_id)
        editing.refuse_inbox(home, "given away")
        return home, await access.member(reader, actor, list_id, user_id)

    home, heir = await find(tx.ahead)
    if user_id == actor.user_id:
        return Changed(home, None)
    await _refuse_heir(tx, user_id)
    await streams.lock(tx, [list_id, actor.user_id, user_id])
    home, heir = await find(tx)
    return await _give(tx, await access.member(tx, actor, list_id, actor.user_id), heir, home)


async def _give(tx: Transaction, owner: MemberRow, heir: MemberRow, home: ListRow) -> Changed[ListRow]:
    now = clock.now()
    version = await tx.first(
        statements.update_list(frozenset({"owner_id"})),
        actor_id=owner.user_id,
        list_id=home.id,
        seen=home.version,
        now=now,
        new_owner_id=heir.user_id,
    )
    if version is None:
        raise SerializationFailure("it changes faster than it can be read")
    given = home._replace(owner_id=heir.user_id, role="editor", updated_at=now, version=version)
    told = {home.id: [events.changed(home, given)]}
    for before, role in ((owner, "editor"), (heir, "owner")):
        await tx.execute(members.SET_ROLE, home_id=home.id, member_id=before.user_id, new_role=role)
        told[home.id].append(events.member_updated(before, before._replace(role=role)))
        told[before.user_id] = [events.role_changed(home.id, role)]
    raised = await log.record(tx, log.operation(owner.user_id, now), told)
    return Changed(given, raised[home.id])


async def _refuse_heir(tx: Transaction, user_id: UUID) -> None:
    """Locks the account, so that its deletion and its limit see the list."""
    account = await tx.first(users.LOCKED_ACCOUNT, user_id=user_id)
    if account is None:
        raise not_found("member")
    if account.disabled_at is not None:
        raise AppException(Code.CONFLICT, "This account is disabled and cannot take over a list.")
    await creation.refuse_another(tx, user_id)


def _refuse_owner(row: MemberRow) -> None:
    if row.role in access.OWNERS:
        raise AppException(Code.CONFLICT, "The owner stays the owner until somebody else is: PUT …/owner.")
