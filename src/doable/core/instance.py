"""The one row about the database as a whole."""

from typing import NamedTuple

from sqlalchemy import CheckConstraint, Column, Integer, Named, Table, Text, TypedColumns, select

from doable.core import ids
from doable.core.queries import Query, query
from doable.core.tables import metadata


class InstanceColumns(TypedColumns):
    id: Named[int] = Column(Integer, primary_key=True)
    epoch: Named[str] = Column(Text)


instance = Table("instance", metadata, InstanceColumns, CheckConstraint("id = 1", name="single"))


class Epoch(NamedTuple):
    epoch: str


def new_epoch() -> str:
    return ids.new_secret()[:6].hex()


EPOCH: Query[Epoch] = query(Epoch, select(instance.c.epoch))
