"""How somebody becomes a user."""

from typing import NamedTuple

from doable.accounts import mails
from doable.accounts.events import RegistrationAsked, UserRegistered
from doable.accounts.operations import passwords
from doable.accounts.operations.mailed import PREFIX, VERIFY, VERIFY_LIFETIME, Post
from doable.accounts.schemas import UserCreate
from doable.accounts.statements import tokens as token_statements
from doable.accounts.statements import users
from doable.accounts.statements.users import UserRow
from doable.core import clock, ids, streams, text, tokens
from doable.core import post as mailing
from doable.core.db import Database, UniqueViolation
from doable.core.errors import AppException, Code
from doable.core.mail import Mail
from doable.core.mailboxes import email_key, mailbox
from doable.core.passwords import Hasher

TIMEZONE = "UTC"


class Proof(NamedTuple):
    """A secret that whoever reads an address can show, and the mail that takes it there, unless it had too many."""

    token: str
    mail: Mail | None


async def register(db: Database, hasher: Hasher, post: Post, form: UserCreate, network: str) -> UserRow:
    """Refused unless registration is open. Who gets no mail any more can ask for one by sending the address again."""
    if post.settings.registration == "invited":
        await _require_invitation(db, form.email)
    if post.settings.registration == "closed":
        raise AppException(Code.FORBIDDEN, "Registration is closed; ask the people who run this server.")
    await _refuse_taken_name(db, form)
    token = tokens.new_token(PREFIX)
    async with post.counted(form.email) as may_write:
        proof = Proof(token, mails.verification(post.settings, form.email, token) if may_write else None)
        try:
            return await create_user(db, hasher, form, proof=proof, share=network)
        except AppException as refusal:
            if refusal.code == Code.EMAIL_TAKEN and may_write:
                await _tell_owner(db, post, form.email)
            raise


async def create_user(
    db: Database,
    hasher: Hasher,
    form: UserCreate,
    *,
    is_admin: bool = False,
    proof: Proof | None = None,
    share: str | None = None,
) -> UserRow:
    """Raises EMAIL_TAKEN, USERNAME_TAKEN.

    `proof`: what will show that the address is the user's; without one it counts as shown. `share`: that of a stranger,
    as in `Hasher`.
    """
    passwords.refuse_weak(form.password, form.username, form.email)
    hashed = await hasher.hash(form.password, share=share)
    now = clock.now()
    row = UserRow(
        id=ids.new_id(),
        email=form.email,
        username=form.username,
        email_verified_at=now if proof is None else None,
        timezone=TIMEZONE,
        is_admin=is_admin,
        inbox_id=ids.new_id(),
        disabled_at=None,
        created_at=now,
        updated_at=now,
    )
    try:
        await _insert(db, row, hashed, proof)
    except UniqueViolation as violation:
        raise await taken(db, row, violation) from violation
    return row


async def taken(db: Database, user: UserRow, violation: UniqueViolation) -> Exception:
    """What a user is told whose e-mail address or name somebody else has; the address, where it is both.

    Of two violations each database names the one that it likes.
    """
    owner = await db.reads.first(users.ACCOUNT_BY_EMAIL, key=email_key(user.email))
    others = owner is not None and owner.id != user.id
    if others or violation.constraint == "uq_users_email_key":
        return AppException(Code.EMAIL_TAKEN, "This e-mail address is registered already.")
    if violation.constraint == "uq_users_username_key":
        return _username_taken()
    return violation


async def _require_invitation(db: Database, email: str) -> None:
    """Before the hash, and before it is told whether the address is taken."""
    asked = RegistrationAsked(email)
    async with db.transaction() as tx:
        await tx.tell(asked)
    if not asked.invited:
        raise AppException(Code.FORBIDDEN, "Only people whose address is invited may register here.")


async def _refuse_taken_name(db: Database, form: UserCreate) -> None:
    """Before a mail is counted: who tries one name after the other would have none left. The address goes first."""
    if await db.reads.first(users.ACCOUNT_BY_USERNAME, key=text.key(form.username)) is None:
        return
    if await db.reads.first(users.ACCOUNT_BY_EMAIL, key=email_key(form.email)) is None:
        raise _username_taken()


async def _insert(db: Database, row: UserRow, hashed: str, proof: Proof | None) -> None:
    async with db.transaction() as tx:
        await tx.execute(
            users.INSERT_USER,
            **row._asdict(),
            email_key=email_key(row.email),
            username_key=text.key(row.username),
            password_hash=hashed,
            deleted_at=None,
        )
        await streams.open_stream(tx, row.id, 0)
        if proof is not None:
            await tx.execute(
                token_statements.INSERT_MAILED_TOKEN,
                user_id=row.id,
                purpose=VERIFY,
                digest=tokens.digest(proof.token),
                mailbox=mailbox(row.email),
                expires_at=row.created_at + VERIFY_LIFETIME,
            )
        await tx.tell(UserRegistered(user_id=row.id, username=row.username, inbox_id=row.inbox_id, at=row.created_at))
        if proof is not None and proof.mail is not None:
            await mailing.write_to(tx, proof.mail)


async def _tell_owner(db: Database, post: Post, email: str) -> None:
    owner = await db.reads.first(users.ACCOUNT_BY_EMAIL, key=email_key(email))
    if owner is not None and owner.disabled_at is None:
        async with db.transaction() as tx:
            await mailing.write_to(tx, mails.already_registered(post.settings, owner.email))


def _username_taken() -> AppException:
    return AppException(Code.USERNAME_TAKEN, "This username is taken.")
