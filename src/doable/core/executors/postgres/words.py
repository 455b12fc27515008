"""What is particular about PostgreSQL, whoever speaks to it: bounds, session settings, its errors in our words."""

from contextlib import suppress

from doable.core.faults import (
    CheckViolation,
    DatabaseError,
    ForeignKeyViolation,
    LockTimeout,
    SerializationFailure,
    Unavailable,
    UniqueViolation,
    Unreachable,
)

with suppress(ModuleNotFoundError):  # installed only where DATABASE_URL needs it
    from asyncpg.exceptions import TargetServerAttributeNotMatched

POOL_WAIT = 2
"""Seconds that a request waits for a connection."""
CONNECT_WAIT = 2
STATEMENT_WAIT = 5
"""Seconds that a statement may take on the server."""
ANSWER_WAIT = STATEMENT_WAIT + 1
"""Seconds for its answer, where the server is silent."""

PRIMARY = {"target_session_attrs": "primary"}
"""Of every connection: a standby would show what is old, and keep whoever writes until the connection ends."""
READ_ONLY = "25006"

_KINDS: dict[str, type[DatabaseError]] = {
    "23505": UniqueViolation,
    "23503": ForeignKeyViolation,
    "23514": CheckViolation,
    "23502": CheckViolation,
    "40001": SerializationFailure,
    "40P01": SerializationFailure,  # deadlock
    "0A000": SerializationFailure,  # the plan of a prepared statement is older than the schema
    READ_ONLY: Unavailable,  # whatever leads to the server leads to a standby now
    "55P03": LockTimeout,
    "57014": Unavailable,  # statement_timeout
    "25P03": Unavailable,  # idle_in_transaction_session_timeout
    "25P04": Unavailable,  # transaction_timeout
}
_CLASSES = ("53", "57", "58")  # resources, operator intervention, system
_AWAY = ("08", "57P")  # the connection; it starts or stops


def server_settings(*, read_only: bool) -> dict[str, str]:
    return {
        "application_name": "doable",
        "timezone": "UTC",
        "statement_timeout": str(STATEMENT_WAIT * 1000),
        "idle_in_transaction_session_timeout": "15000",
        "default_transaction_isolation": "read committed",  # of a statement alone, whatever the server's default is
        "default_transaction_read_only": "on" if read_only else "off",
    }


def is_refusal(error: BaseException) -> bool:
    """Whether the server says that a statement has failed, and not that it ends itself or the connection."""
    state: str = getattr(error, "sqlstate", None) or ""
    return bool(state) and not state.startswith(_AWAY)


def translate(error: BaseException, *, connection_lost: bool = False) -> BaseException:
    """What an error of the driver, or of the socket beneath it, means to us; itself if nothing."""
    if isinstance(error, TargetServerAttributeNotMatched):
        return Unreachable("the server is a standby")
    state: str = getattr(error, "sqlstate", None) or ""
    kind = _KINDS.get(state)
    if kind is None and (connection_lost or state.startswith(_AWAY) or isinstance(error, OSError | TimeoutError)):
        kind = Unreachable
    elif kind is None and state.startswith(_CLASSES):
        kind = Unavailable
    return error if kind is None else kind(str(error) or type(error).__name__, getattr(error, "constraint_name", None))
