"""Who has asked for a daily digest."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Index, Named, Table, Text, TypedColumns

from doable.core.tables import Id, Instant, metadata


class DigestColumns(TypedColumns):
    """`at`: each day at this time, HH:MM in the person's zone; `next_at`: the instant of the next one."""

    user_id: Named[UUID] = Column(Id, ForeignKey("users.id"), primary_key=True)
    at: Named[str] = Column(Text)
    next_at: Named[datetime] = Column(Instant)


digests = Table("digests", metadata, DigestColumns, Index("ix_digests_next_at", "next_at"))
