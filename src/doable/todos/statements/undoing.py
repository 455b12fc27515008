"""What can be asked of the log by whoever wants to undo something."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, bindparam, select

from doable.core.events import events
from doable.core.queries import Query, query


class Done(NamedTuple):
    """An event, for its own list."""

    revision: int
    at: datetime
    actor_id: UUID | None
    kind: str
    data: str


_asked = events.alias("asked")

OPERATION: Query[Done] = query(
    Done,
    select(events.c.revision, events.c.at, events.c.actor_id, events.c.kind, events.c.data)
    .join_from(_asked, events, events.c.stream_id == _asked.c.stream_id)
    .where(
        _asked.c.stream_id == bindparam("list_id"),
        _asked.c.revision == bindparam("revision", type_=BigInteger),
        events.c.operation_id == _asked.c.operation_id,
        # The events of an operation follow each other; the log has no index of operations.
        events.c.revision >= bindparam("lowest", type_=BigInteger),
        events.c.revision <= bindparam("highest", type_=BigInteger),
    )
    .order_by(events.c.revision),
)
"""All that happened in a list together with the event of that `revision`."""
