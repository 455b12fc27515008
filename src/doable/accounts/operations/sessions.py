"""How sessions begin, go on and end."""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from doable.accounts import attempts, endings
from doable.accounts.access import Actor, session_ended, still, unauthenticated
from doable.accounts.operations import passwords
from doable.accounts.schemas import Login
from doable.accounts.statements import sessions, users
from doable.accounts.statements.sessions import Chain
from doable.accounts.statements.users import Account
from doable.core import clock, ids, text, tokens
from doable.core.db import Database, Transaction
from doable.core.errors import AppException, Code, not_found
from doable.core.mailboxes import email_key
from doable.core.passwords import Hasher
from doable.core.tokens import AccessTokens, RefreshTokens

IDLE = timedelta(days=30)
LONGEST = timedelta(days=180)
GRACE = timedelta(seconds=10)
"""How long a refresh token stays good after its successor was first seen: for a client with two tabs."""
KEPT = 100
"""Sessions of a user; a login beyond ends the oldest."""
FORGOTTEN_AFTER = timedelta(days=1)


class Signers(NamedTuple):
    access: AccessTokens
    refresh: RefreshTokens


class Device(NamedTuple):
    """What is known of the other end; `network`: that of its address."""

    user_agent: str | None
    ip: str | None
    network: str


class Pair(NamedTuple):
    user_id: UUID
    access_token: str
    refresh_token: str


class _Link(NamedTuple):
    """Where a chain of refresh tokens stands: its newest token, and how manieth that is."""

    user_id: UUID
    refresh_token: str
    generation: int


async def login(db: Database, hasher: Hasher, signers: Signers, form: Login, device: Device) -> Pair:
    """An unknown name, a disabled account and a wrong password cost the same and look the same."""
    is_address = "@" in text.key(form.login)
    key = email_key(form.login) if is_address else text.key(form.login)
    account = await db.reads.first(users.ACCOUNT_BY_EMAIL if is_address else users.ACCOUNT_BY_USERNAME, key=key)
    counters = attempts.login_counters(key, device.network)
    await attempts.count(db, *counters)
    stored = account.password_hash if account and account.disabled_at is None else None
    try:
        verified = await hasher.verify(form.password, stored, share=device.network)
    except AppException:  # too much to hash at the moment
        await attempts.take_back(db, *counters)
        raise
    if account is None or not verified.ok:
        raise _invalid_credentials()
    session_id, now = ids.new_id(), clock.now()
    refresh_token = signers.refresh.first(session_id)
    row = _first_row(session_id, account.id, tokens.digest(refresh_token), device, now)
    async with db.transaction() as tx:
        await _require_unchanged(tx, account)
        if verified.rehashed is not None:
            await tx.execute(
                users.REHASH_PASSWORD, user_id=account.id, old=account.password_hash, hashed=verified.rehashed
            )
        await tx.execute(sessions.INSERT_SESSION, **row)
        await tx.execute(sessions.FORGET_SESSIONS, user_id=account.id, before=now - FORGOTTEN_AFTER)
        ended = await tx.execute(sessions.END_OLDEST_SESSIONS, owner=account.id, kept=KEPT, at=now)
        await attempts.reset(tx, *counters)
        if ended:
            await endings.tell(tx, account.id, now, account.id)
    return Pair(account.id, signers.access.issue(account.id, session_id, 0, now), refresh_token)


async def refresh(db: Database, signers: Signers, token: str) -> Pair:
    """The next token of the chain, the same one for everybody who presents this token while it is good."""
    session_id = signers.refresh.session_of(token)
    if session_id is None:
        raise unauthenticated()
    salt, now = ids.new_secret(), clock.now()
    # What it finds is returned, not raised: a revocation has to be committed before the refusal.
    found = await _advance(db, signers.refresh, session_id, token, salt, now)
    if isinstance(found, AppException):
        raise found
    access_token = signers.access.issue(found.user_id, session_id, found.generation, now)
    return Pair(found.user_id, access_token, found.refresh_token)


async def logout(db: Database, signers: Signers, token: str) -> None:
    """End the session of a refresh token, however old; it may have ended already."""
    session_id = signers.refresh.session_of(token)
    if session_id is None:
        raise unauthenticated()
    now = clock.now()
    async with db.transaction() as tx:
        await _end(tx, session_id, now)


async def end(tx: Transaction, actor: Actor, session_id: UUID) -> None:
    await still(tx, actor)
    now = clock.now()
    ended = await tx.execute(sessions.END_OWN_SESSION, session_id=session_id, owner=actor.user_id, at=now)
    if not ended:
        raise not_found("session")
    await endings.tell(tx, actor.user_id, now, actor.user_id)


async def end_current(tx: Transaction, actor: Actor) -> None:
    """It may have ended in the meantime."""
    await _end(tx, actor.need_session(), clock.now())


async def end_others(tx: Transaction, actor: Actor) -> None:
    await still(tx, actor)
    now = clock.now()
    ended = await tx.execute(sessions.END_OTHER_SESSIONS, owner=actor.user_id, session_id=actor.need_session(), at=now)
    if ended:
        await endings.tell(tx, actor.user_id, now, actor.user_id)


async def _end(tx: Transaction, session_id: UUID, now: datetime) -> None:
    """It may have ended already."""
    user_id = await tx.first(sessions.END_SESSION, session_id=session_id, at=now)
    if user_id is not None:
        await endings.tell(tx, user_id, now, user_id)


def _invalid_credentials() -> AppException:
    return AppException(Code.INVALID_CREDENTIALS, "Login or password is wrong.")


def _first_row(id_: UUID, user_id: UUID, digest: bytes, device: Device, now: datetime) -> dict[str, object]:
    return {
        "id": id_,
        "user_id": user_id,
        "refresh_hash": digest,
        "previous_hash": None,
        "grandparent_hash": None,
        "grandparent_replaced_at": None,
        "rotation_salt": None,
        "generation": 0,
        "seen_generation": 0,
        "seen_at": None,
        "rotated_at": now,
        "created_at": now,
        "last_used_at": now,
        "expires_at": now + IDLE,
        "revoked_at": None,
        "user_agent": device.user_agent,
        "ip": device.ip,
    }


async def _require_unchanged(tx: Transaction, account: Account) -> None:
    """The password was compared with what the account was some time ago."""
    locked = await tx.first(users.LOCKED_ACCOUNT, user_id=account.id)
    if locked is None or locked.disabled_at is not None or passwords.password_changed(account, locked):
        raise _invalid_credentials()


async def _advance(
    db: Database, chains: RefreshTokens, session_id: UUID, token: str, salt: bytes, now: datetime
) -> _Link | AppException:
    presented = tokens.digest(token)
    async with db.transaction() as tx:
        chain = await tx.first(sessions.LOCKED_CHAIN, session_id=session_id)
        if chain is None or not chain.usable:
            return unauthenticated()
        if chain.revoked_at is not None or chain.expires_at <= now:
            return session_ended()
        if presented == chain.refresh_hash:
            successor = chains.successor(token, salt)
            await _rotate(tx, chain, tokens.digest(successor), salt, now)
            return _Link(chain.user_id, successor, chain.generation + 1)
        if presented == chain.previous_hash and chain.rotation_salt is not None and _parent_is_good(chain, now):
            return _Link(chain.user_id, chains.successor(token, chain.rotation_salt), chain.generation)
        if presented == chain.grandparent_hash and _is_recent(chain.grandparent_replaced_at, now):
            return AppException(Code.UNAUTHENTICATED, "This refresh token has been replaced by a newer one.")
        await _end(tx, session_id, now)
        return session_ended()


def _parent_is_good(chain: Chain, now: datetime) -> bool:
    """Until it is known that a client has its successor, the answer that carried it may have been lost."""
    unseen = chain.seen_generation < chain.generation
    return unseen or _is_recent(chain.seen_at, now)


def _is_recent(at: datetime | None, now: datetime) -> bool:
    """What lies in the future was written before the clock was put back, and is not recent."""
    return at is not None and abs(now - at) <= GRACE


async def _rotate(tx: Transaction, chain: Chain, successor: bytes, salt: bytes, now: datetime) -> None:
    until = min(now + IDLE, chain.created_at + LONGEST)
    seen = chain.seen_at if chain.seen_generation >= chain.generation else None
    await tx.execute(
        sessions.ROTATE,
        session_id=chain.id,
        replaced_at=seen or now,  # whoever presents the newest token has it; that is seeing it, too
        successor=successor,
        salt=salt,
        at=now,
        until=until,
    )
