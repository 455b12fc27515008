"""Users, their sessions and tokens, and what is remembered of failed attempts."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, Named, Table, Text, TypedColumns
from sqlalchemy import UniqueConstraint as Unique

from doable.core.tables import Digest, Id, Instant, metadata


class UserColumns(TypedColumns):
    id: Named[UUID] = Column(Id, primary_key=True)
    email: Named[str] = Column(Text)  # as typed
    email_key: Named[str | None] = Column(Text)  # of `core.mailboxes`; NULL once the account is deleted
    username: Named[str] = Column(Text)
    username_key: Named[str | None] = Column(Text)
    password_hash: Named[str | None] = Column(Text)
    email_verified_at: Named[datetime | None] = Column(Instant)
    disabled_at: Named[datetime | None] = Column(Instant)
    deleted_at: Named[datetime | None] = Column(Instant)
    is_admin: Named[bool] = Column(Boolean(create_constraint=False))
    timezone: Named[str] = Column(Text)
    inbox_id: Named[UUID] = Column(Id)  # no foreign key: lists come above accounts
    created_at: Named[datetime] = Column(Instant)
    updated_at: Named[datetime] = Column(Instant)


class SessionColumns(TypedColumns):
    """A refresh-token chain. `generation` counts rotations; `seen_generation` is the newest that a client has used.

    The token before the previous one is known for a moment after it was `grandparent_replaced_at`, for a slow client.
    """

    id: Named[UUID] = Column(Id, primary_key=True)
    user_id: Named[UUID] = Column(Id, ForeignKey("users.id", ondelete="CASCADE"))
    refresh_hash: Named[bytes] = Column(Digest)
    previous_hash: Named[bytes | None] = Column(Digest)
    grandparent_hash: Named[bytes | None] = Column(Digest)
    grandparent_replaced_at: Named[datetime | None] = Column(Instant)
    rotation_salt: Named[bytes | None] = Column(Digest)
    generation: Named[int] = Column(Integer)
    seen_generation: Named[int] = Column(Integer)
    seen_at: Named[datetime | None] = Column(Instant)
    rotated_at: Named[datetime] = Column(Instant)
    created_at: Named[datetime] = Column(Instant)
    last_used_at: Named[datetime] = Column(Instant)
    expires_at: Named[datetime] = Column(Instant)
    revoked_at: Named[datetime | None] = Column(Instant)
    user_agent: Named[str | None] = Column(Text)
    ip: Named[str | None] = Column(Text)


class ApiTokenColumns(TypedColumns):
    """Ids are unique for each user only: whether somebody else has one with an id that a client made is no answer."""

    user_id: Named[UUID] = Column(Id, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    id: Named[UUID] = Column(Id, primary_key=True)
    name: Named[str] = Column(Text)
    digest: Named[bytes] = Column(Digest)
    scopes: Named[str] = Column(Text)  # separated by spaces
    expires_at: Named[datetime | None] = Column(Instant)
    last_used_at: Named[datetime | None] = Column(Instant)
    created_at: Named[datetime] = Column(Instant)


class MailedTokenColumns(TypedColumns):
    """A secret sent by mail; a new one for the same purpose replaces the old."""

    user_id: Named[UUID] = Column(Id, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    purpose: Named[str] = Column(Text, primary_key=True)
    digest: Named[bytes] = Column(Digest)
    mailbox: Named[str] = Column(Text)  # to which it was sent
    expires_at: Named[datetime] = Column(Instant)


class TicketColumns(TypedColumns):
    """What opens a room, once, for the session or the API token that has asked for it."""

    digest: Named[bytes] = Column(Digest, primary_key=True)
    user_id: Named[UUID] = Column(Id, ForeignKey("users.id", ondelete="CASCADE"))
    session_id: Named[UUID | None] = Column(Id)
    token_id: Named[UUID | None] = Column(Id)
    expires_at: Named[datetime] = Column(Instant)


class AttemptColumns(TypedColumns):
    """Failures in a row at a name, whether or not anybody has it, so that a guesser learns nothing and has to wait."""

    key: Named[bytes] = Column(Digest, primary_key=True)
    failures: Named[int] = Column(BigInteger)
    blocked_until: Named[datetime] = Column(Instant)


users = Table("users", metadata, UserColumns, Unique("email_key"), Unique("username_key"))
sessions = Table(
    "sessions",
    metadata,
    SessionColumns,
    Index("ix_sessions_user_id", "user_id"),
    Index("ix_sessions_expires_at", "expires_at"),
)
api_tokens = Table("api_tokens", metadata, ApiTokenColumns, Unique("digest"))
mailed_tokens = Table("mailed_tokens", metadata, MailedTokenColumns, Unique("digest"))
tickets = Table("tickets", metadata, TicketColumns, Index("ix_tickets_expires_at", "expires_at"))
attempts = Table("attempts", metadata, AttemptColumns, Index("ix_attempts_blocked_until", "blocked_until"))
