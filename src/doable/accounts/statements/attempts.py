"""Failed attempts in a row."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Integer, bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from doable.accounts.tables import attempts
from doable.core.queries import query


class Attempts(NamedTuple):
    failures: int
    blocked_until: datetime


# The row as it is or, if there is none, as given; locked. SQLite compiles PostgreSQL's ON CONFLICT to the same words.
TAKEN = query(
    Attempts,
    insert(attempts)
    .on_conflict_do_update(index_elements=[attempts.c.key], set_={"failures": attempts.c.failures})
    .returning(attempts.c.failures, attempts.c.blocked_until),
)
COUNT_ATTEMPT = (
    update(attempts)
    .where(attempts.c.key == bindparam("counter"))
    .values(failures=bindparam("count"), blocked_until=bindparam("until"))
)
TAKE_BACK_ATTEMPT = (
    update(attempts)
    .where(attempts.c.key == bindparam("counter"), attempts.c.failures > 0)
    .values(failures=attempts.c.failures - 1, blocked_until=bindparam("until"))
)
RESET_ATTEMPTS = delete(attempts).where(attempts.c.key == bindparam("key"))
RESET_NAME = delete(attempts).where(
    attempts.c.key.in_(
        select(attempts.c.key)
        .where(attempts.c.key.between(bindparam("first"), bindparam("last")))
        .order_by(attempts.c.key)
        .with_for_update()
    )
)
SWEEP_ATTEMPTS = delete(attempts).where(
    attempts.c.key.in_(
        select(attempts.c.key)
        .where(attempts.c.blocked_until < bindparam("before"))
        .order_by(attempts.c.key)
        .limit(bindparam("most", type_=Integer))
        .with_for_update(skip_locked=True)
    )
)
