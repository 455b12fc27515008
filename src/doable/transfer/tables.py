"""Files that are being imported, and the parts of them that are still to be applied."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Index, Integer, Named, Table, Text, TypedColumns

from doable.core.tables import Digest, Id, Instant, metadata


class ImportColumns(TypedColumns):
    id: Named[UUID] = Column(Id, primary_key=True)
    user_id: Named[UUID] = Column(Id, ForeignKey("users.id"))
    source: Named[str] = Column(Text)  # the format of the file
    status: Named[str] = Column(Text)  # `receiving` until the file is complete, then as on the wire
    digest: Named[bytes | None] = Column(Digest)  # of the file
    inbox_id: Named[UUID | None] = Column(Id)  # what the file calls its inbox
    parts: Named[int] = Column(Integer)
    applied: Named[int] = Column(Integer)  # so many of them, in their order
    created: Named[int] = Column(Integer)
    present: Named[int] = Column(Integer)
    refused: Named[int] = Column(Integer)
    errors: Named[str] = Column(Text)  # JSON, as it is answered
    created_at: Named[datetime] = Column(Instant)
    finished_at: Named[datetime | None] = Column(Instant)


class PartColumns(TypedColumns):
    import_id: Named[UUID] = Column(Id, ForeignKey("imports.id", ondelete="CASCADE"), primary_key=True)
    number: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    kind: Named[str] = Column(Text)  # what its elements are
    elements: Named[str] = Column(Text)  # JSON


imports = Table(
    "imports",
    metadata,
    ImportColumns,
    Index("ix_imports_user_id", "user_id", "id"),
    Index("ix_imports_created_at", "created_at"),
)
import_parts = Table("import_parts", metadata, PartColumns)
