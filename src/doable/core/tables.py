"""What all tables share: the metadata with its naming convention, and column types that are equal on both databases."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import TIMESTAMP, Dialect, LargeBinary, MetaData, Text, TypeDecorator, Uuid
from sqlalchemy.types import TypeEngine

from doable.core import clock

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Id(TypeDecorator[UUID]):
    """A UUID: native on PostgreSQL, 16 bytes on SQLite, whose order is that of creation for UUIDv7."""

    impl = Uuid
    cache_ok = True

    @property
    def python_type(self) -> type[UUID]:
        return UUID

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        kind: TypeEngine[Any] = LargeBinary(16) if dialect.name == "sqlite" else Uuid()
        return dialect.type_descriptor(kind)

    # Processors and not `process_…_value`: where there is nothing to do, they cost nothing.
    def bind_processor(self, dialect: Dialect) -> Callable[[UUID | None], bytes | None] | None:
        return _uuid_to_bytes if dialect.name == "sqlite" else None

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[bytes | None], UUID | None] | None:
        del coltype
        return _uuid_from_bytes if dialect.name == "sqlite" else None


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant in milliseconds: TIMESTAMPTZ on PostgreSQL, the text of the wire on SQLite, which sorts."""

    impl = TIMESTAMP(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        return datetime

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        kind: TypeEngine[Any] = Text() if dialect.name == "sqlite" else TIMESTAMP(timezone=True)
        return dialect.type_descriptor(kind)

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], datetime | str | None]:
        return _instant_to_text if dialect.name == "sqlite" else _instant

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str | None], datetime | None] | None:
        del coltype
        return _instant_from_text if dialect.name == "sqlite" else None  # asyncpg answers in UTC


def _uuid_to_bytes(value: UUID | None) -> bytes | None:
    return None if value is None else value.bytes


def _uuid_from_bytes(value: bytes | None) -> UUID | None:
    return None if value is None else UUID(bytes=value)


def _instant(value: datetime | None) -> datetime | None:
    if value is not None and value.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return value


def _instant_to_text(value: datetime | None) -> str | None:
    return clock.iso(known) if (known := _instant(value)) is not None else None


def _instant_from_text(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)


Digest = LargeBinary(32)
"""A SHA-256."""

Sorted = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that compares by bytes, as SQLite compares all text."""
