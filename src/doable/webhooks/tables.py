"""Webhooks and their deliveries."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Integer, Named, Table, Text, TypedColumns
from sqlalchemy import text as sql

from doable.core.tables import Digest, Id, Instant, metadata

ACTIVE, PAUSED, DISABLED = ("active", "paused", "disabled")
PENDING, DELIVERED, FAILED, DEAD = ("pending", "delivered", "failed", "dead")


class WebhookColumns(TypedColumns):
    """Of a list, or (without `list_id`) of a person: then of every list that he is in.

    `busy_until`: a worker sends to it, one delivery after the other; past it, that worker has died. `resumes_at`: it
    has asked to be left alone until then. `failing_since`: nothing has been delivered since then.
    """

    id: Named[UUID] = Column(Id, primary_key=True)
    list_id: Named[UUID | None] = Column(Id, ForeignKey("lists.id", ondelete="CASCADE"))
    user_id: Named[UUID] = Column(Id, ForeignKey("users.id"))  # who made it: it is told what he may see
    url: Named[str] = Column(Text)
    kinds: Named[str | None] = Column(Text)  # JSON; null: all
    secret: Named[bytes] = Column(Digest)  # signatures need it as it is
    previous_secret: Named[bytes | None] = Column(Digest)
    renewed_at: Named[datetime | None] = Column(Instant)  # for a day after it, the previous secret signs as well
    status: Named[str] = Column(Text)
    failing_since: Named[datetime | None] = Column(Instant)
    resumes_at: Named[datetime | None] = Column(Instant)
    busy_until: Named[datetime | None] = Column(Instant)
    created_at: Named[datetime] = Column(Instant)
    updated_at: Named[datetime] = Column(Instant)


class DeliveryColumns(TypedColumns):
    """What is sent is read from the log when it is sent; a ping is of no list. `next_attempt_at`: null, it is over."""

    id: Named[UUID] = Column(Id, primary_key=True)
    webhook_id: Named[UUID] = Column(Id, ForeignKey("webhooks.id", ondelete="CASCADE"))
    kind: Named[str] = Column(Text)
    list_id: Named[UUID | None] = Column(Id)
    revision: Named[int | None] = Column(BigInteger)
    status: Named[str] = Column(Text)
    attempts: Named[int] = Column(Integer)
    response_status: Named[int | None] = Column(Integer)
    next_attempt_at: Named[datetime | None] = Column(Instant)
    created_at: Named[datetime] = Column(Instant)
    body: Named[str | None] = Column(Text)  # of what is in no log


_WAITING = sql("next_attempt_at IS NOT NULL")

webhooks = Table(
    "webhooks",
    metadata,
    WebhookColumns,
    CheckConstraint("status IN ('active', 'paused', 'disabled')", name="status"),
    Index("ix_webhooks_list_id", "list_id"),
    Index("ix_webhooks_user_id", "user_id"),
)
deliveries = Table(
    "deliveries",
    metadata,
    DeliveryColumns,
    CheckConstraint("status IN ('pending', 'delivered', 'failed', 'dead')", name="status"),
    Index("ix_deliveries_webhook_id", "webhook_id", "id"),
    Index(
        "ix_deliveries_waiting",
        "webhook_id",
        "next_attempt_at",
        "id",
        postgresql_where=_WAITING,
        sqlite_where=_WAITING,
    ),
    Index("ix_deliveries_created_at", "created_at"),
)
