"""How somebody is asked into a list, and what he answers."""

from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from doable.accounts import access as accounts_access
from doable.accounts.access import Actor
from doable.accounts.events import RegistrationAsked
from doable.accounts.operations.mailed import Post
from doable.accounts.statements import users
from doable.core import clock, ids, streams, tokens
from doable.core import events as log
from doable.core import post as mailing
from doable.core.changes import Changed
from doable.core.db import Database, Transaction
from doable.core.errors import AppException, Code, not_found
from doable.core.limits import Budget
from doable.core.mailboxes import email_key, mailbox
from doable.core.queries import Reader
from doable.lists import access, events, mails, statements
from doable.lists.access import Choice
from doable.lists.events import MemberJoined
from doable.lists.operations import editing
from doable.lists.statements import ListRow, invitations
from doable.lists.statements.invitations import InvitationRow

PREFIX = "dbi_"
LIFETIME = timedelta(days=7)
MOST = 200
"""Members of a list and open invitations to it together: who has been invited finds a place."""
BUDGET = Budget(50, 86400)
"""Invitations that one person may send in a day."""


class New(NamedTuple):
    email: str
    role: str
    digest: bytes


class Invited(NamedTuple):
    """An invitation; the `url` that accepts it is known only to whoever has just made it."""

    row: InvitationRow
    url: str | None


async def invite(db: Database, post: Post, actor: Actor, list_id: UUID, email: str, role: str) -> Invited:
    """Ask the reader of an address into a list; an open invitation to him is found and stays as it is.

    Nothing tells whether the address has an account, nor whether a member has it.
    """
    token = tokens.new_token(PREFIX)
    is_missing = await _is_missing(db.reads, actor, list_id, email)
    async with post.counted(email, wanted=is_missing) as may_write, db.transaction() as tx:
        row, is_new = await create(tx, actor, list_id, New(email, role, tokens.digest(token)))
        mail = mails.invitation(post.settings, email, row.inviter_name, token)
        await mailing.write_to(tx, mail, wanted=is_new and may_write)
    return Invited(row, mails.link(post.settings, token).url if is_new else None)


async def create(tx: Transaction, actor: Actor, list_id: UUID, new: New) -> tuple[InvitationRow, bool]:
    """The invitation, and whether it was made just now. Raises `CONFLICT` for the inbox and `LIMIT_REACHED`."""

    async def find(reader: Reader) -> None:
        editing.refuse_inbox(await access.managed(reader, actor, list_id), "shared")

    await find(tx.ahead)
    reader_id = await _reader_of(tx, new.email)
    await streams.lock(tx, [list_id, reader_id])
    await find(tx)
    now, box = clock.now(), mailbox(new.email)
    await tx.execute(invitations.EXPIRE, home_id=list_id, now=now)
    open_one = await tx.first(invitations.PENDING, list_id=list_id, mailbox=box)
    if open_one is not None:
        return open_one, False
    if await tx.one(invitations.SEATS, list_id=list_id) >= MOST:
        raise AppException(Code.LIMIT_REACHED, f"A list has {MOST} members and open invitations at most.")
    invitation_id = ids.new_id()
    await tx.execute(
        invitations.INSERT,
        **new._asdict(),
        id=invitation_id,
        list_id=list_id,
        mailbox=box,
        invited_by=actor.user_id,
        status="pending",
        created_at=now,
        expires_at=now + LIFETIME,
    )
    await log.record(tx, log.operation(actor.user_id, now), {reader_id: [events.invited(invitation_id)]})
    return await tx.one(invitations.PENDING, list_id=list_id, mailbox=box), True


async def revoke(tx: Transaction, actor: Actor, list_id: UUID, invitation_id: UUID) -> None:
    """Nothing happens to one that is no longer open. Raises `CONFLICT` for one that was accepted."""
    await access.managed(tx.ahead, actor, list_id)
    await streams.lock(tx, [list_id])
    await access.managed(tx, actor, list_id)
    if not await tx.execute(
        invitations.ANSWER, invitation_id=invitation_id, home_id=list_id, answer="revoked", now=clock.now()
    ):
        row = await tx.first(
            invitations.INVITATION, actor_id=actor.user_id, list_id=list_id, invitation_id=invitation_id
        )
        if row is None:
            raise not_found("invitation")
        if row.status == "accepted":
            raise AppException(Code.CONFLICT, "It was accepted; remove the member instead.")


async def accept(tx: Transaction, actor: Actor, choice: Choice) -> Changed[ListRow]:
    """Become a member. Who is one already stays what he is, and the invitation stays open for whoever it was meant for.

    Raises `NOT_FOUND`, and `CONFLICT` for one that is not open any more.
    """
    row, home = await _ask(tx.ahead, actor, choice)
    if home is not None:
        return Changed(home, None)
    account = await accounts_access.alive(tx, actor)  # locked, so that its deletion sees the membership
    locked = await streams.lock(tx, [row.list_id, actor.user_id])
    row, home = await _ask(tx, actor, choice)
    if home is not None:
        return Changed(home, None)
    now = clock.now()
    if not await _answer(tx, row, "accepted"):
        raise _closed()
    await tx.execute(statements.INSERT_MEMBER, list_id=row.list_id, user_id=actor.user_id, role=row.role, joined_at=now)
    told = {
        row.list_id: [events.member_added(actor.user_id, account.username, row.role, now)],
        actor.user_id: [events.joined(row.list_id, row.role)],
    }
    raised = await log.record(tx, log.operation(actor.user_id, now), told)
    await tx.tell(MemberJoined(row.list_id, actor.user_id, locked[row.list_id]))
    return Changed(await access.visible(tx, actor, row.list_id), raised[row.list_id])


async def refuse(tx: Transaction, actor: Actor, choice: Choice) -> None:
    """Nothing happens to one that is declined already. Raises `NOT_FOUND`, and `CONFLICT` if it is not open."""
    row = await access.invitation(tx.ahead, actor, choice)
    if row.status == "declined" or await _answer(tx, row, "declined"):
        return
    if (await access.invitation(tx, actor, choice)).status != "declined":
        raise _closed()


async def admit(tx: Transaction, fact: RegistrationAsked) -> None:
    """Whoever is invited to a list may become a user."""
    asked = mailbox(fact.email)
    fact.invited = fact.invited or await tx.ahead.one(invitations.OPEN_TO, mailbox=asked, now=clock.now()) > 0


async def _is_missing(reader: Reader, actor: Actor, list_id: UUID, email: str) -> bool:
    """Before a mail is counted, which is not sent for an invitation that is open already."""
    await access.managed(reader, actor, list_id)
    found = await reader.first(invitations.PENDING, list_id=list_id, mailbox=mailbox(email))
    return found is None or found.expires_at <= clock.now()


async def _reader_of(tx: Transaction, email: str) -> UUID:
    """Who is known to read an address; where it is nobody, an id without a stream, for which the same is done."""
    account = await tx.ahead.first(users.ACCOUNT_BY_EMAIL, key=email_key(email))
    known = account is not None and account.email_verified_at is not None and mailbox(account.email) == mailbox(email)
    return account.id if account is not None and known else ids.new_id()


async def _ask(reader: Reader, actor: Actor, choice: Choice) -> tuple[InvitationRow, ListRow | None]:
    """The invitation and, if the actor sees it already, the list. Raises `CONFLICT` if it does not lead there."""
    row = await access.invitation(reader, actor, choice)
    home = await reader.first(statements.LIST, actor_id=actor.user_id, list_id=row.list_id)
    if home is None and (row.status != "pending" or row.expires_at <= clock.now()):
        raise _closed()
    return row, home


async def _answer(tx: Transaction, row: InvitationRow, answer: str) -> int:
    return await tx.execute(
        invitations.ANSWER, invitation_id=row.id, home_id=row.list_id, answer=answer, now=clock.now()
    )


def _closed() -> AppException:
    return AppException(Code.CONFLICT, "This invitation is not open any more; ask for a new one.")
