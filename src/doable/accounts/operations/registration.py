"""How somebody becomes a user."""

from doable.accounts import mails
from doable.accounts.events import UserRegistered
from doable.accounts.operations import passwords
from doable.accounts.operations.mailed import PREFIX, VERIFY, VERIFY_LIFETIME
from doable.accounts.schemas import UserCreate
from doable.accounts.statements import tokens as token_statements
from doable.accounts.statements import users
from doable.accounts.statements.users import UserRow
from doable.core import clock, ids, text, tokens
from doable.core.db import Database, UniqueViolation
from doable.core.errors import AppException, Code
from doable.core.mail import Mailer
from doable.core.passwords import Hasher
from doable.settings import Settings

TIMEZONE = "UTC"


async def register(db: Database, hasher: Hasher, mailer: Mailer, settings: Settings, form: UserCreate) -> UserRow:
    """Refused unless registration is open."""
    if settings.registration == "invited":
        raise AppException(Code.FORBIDDEN, "Only invited people may register here.")
    if settings.registration == "closed":
        raise AppException(Code.FORBIDDEN, "Registration is closed; ask the people who run this server.")
    token = tokens.new_token(PREFIX)
    try:
        user = await create_user(db, hasher, form, token=token)
    except AppException as refusal:
        if refusal.code == Code.EMAIL_TAKEN:
            await _tell_owner(db, mailer, settings, form.email)
        raise
    mailer.send(mails.verification(settings, user.email, token))
    return user


async def create_user(
    db: Database,
    hasher: Hasher,
    form: UserCreate,
    *,
    is_admin: bool = False,
    verified: bool = False,
    token: str | None = None,
) -> UserRow:
    """`token`: what will prove, by mail, that the address is the user's. Raises EMAIL_TAKEN, USERNAME_TAKEN."""
    passwords.refuse_weak(form.password, form.username, form.email)
    hashed = await hasher.hash(form.password)
    now = clock.now()
    row = UserRow(
        id=ids.new_id(),
        email=form.email,
        username=form.username,
        email_verified_at=now if verified else None,
        timezone=TIMEZONE,
        is_admin=is_admin,
        inbox_id=ids.new_id(),
        disabled_at=None,
        created_at=now,
        updated_at=now,
    )
    try:
        await _insert(db, row, hashed, token)
    except UniqueViolation as violation:
        raise taken(violation) from violation
    return row


def taken(violation: UniqueViolation) -> Exception:
    """What a user is told whose e-mail address or name somebody else has."""
    if violation.constraint == "uq_users_email_key":
        return AppException(Code.EMAIL_TAKEN, "This e-mail address is registered already.")
    if violation.constraint == "uq_users_username_key":
        return AppException(Code.USERNAME_TAKEN, "This username is taken.")
    return violation


async def _insert(db: Database, row: UserRow, hashed: str, token: str | None) -> None:
    email_key, username_key = text.key(row.email), text.key(row.username)
    async with db.transaction() as tx:
        await tx.execute(
            users.INSERT_USER,
            **row._asdict(),
            email_key=email_key,
            username_key=username_key,
            password_hash=hashed,
            deleted_at=None,
        )
        if token is not None:
            await tx.execute(
                token_statements.INSERT_MAILED_TOKEN,
                user_id=row.id,
                purpose=VERIFY,
                digest=tokens.digest(token),
                email_key=email_key,
                expires_at=row.created_at + VERIFY_LIFETIME,
            )
        await tx.tell(UserRegistered(user_id=row.id, username=row.username, inbox_id=row.inbox_id, at=row.created_at))


async def _tell_owner(db: Database, mailer: Mailer, settings: Settings, email: str) -> None:
    owner = await db.reads.first(users.ACCOUNT_BY_EMAIL, key=text.key(email))
    if owner is not None and owner.disabled_at is None:
        mailer.send(mails.already_registered(settings, owner.email))
