"""What can go wrong with a database, as far as a caller can act on it; everything else that it raises is a bug."""


class DatabaseError(Exception):
    """A failure that a caller can act on. Everything else that the database raises is a bug."""

    def __init__(self, message: str = "", constraint: str | None = None) -> None:
        super().__init__(message)
        self.constraint = constraint


class UniqueViolation(DatabaseError):
    """`constraint` is its name in the metadata, on both databases."""


class ForeignKeyViolation(DatabaseError): ...


class CheckViolation(DatabaseError):
    """A CHECK or NOT NULL constraint."""


class SerializationFailure(DatabaseError):
    """Nothing was written; the same request may succeed when it is sent again."""


class Unavailable(DatabaseError):
    """The database did not answer, or not in time. Nothing was written."""


class Unreachable(Unavailable):
    """The database itself was silent, or held by another process, or the connection to it was lost.

    Whoever is next will hardly fare better.
    """


class LockTimeout(Unavailable):
    """Another transaction held what this one waited for."""


class OutcomeUnknown(DatabaseError):
    """The answer to COMMIT was lost: the transaction may have happened or not."""
