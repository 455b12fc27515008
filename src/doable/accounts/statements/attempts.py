"""Failed attempts in a row."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, delete, insert, select, update

from doable.accounts.tables import attempts
from doable.core.queries import query


class Attempts(NamedTuple):
    failures: int
    blocked_until: datetime


LOCKED_ATTEMPTS = query(
    Attempts,
    select(attempts.c.failures, attempts.c.blocked_until).where(attempts.c.key == bindparam("key")).with_for_update(),
)
INSERT_ATTEMPT = insert(attempts)
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
FORGET_ATTEMPTS = delete(attempts).where(attempts.c.blocked_until < bindparam("before"))
