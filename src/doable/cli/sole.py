"""One process serves a SQLite file: who comes second is told so, instead of sharing it badly."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from doable.cli.failures import Failure
from doable.runtime import sqlite_file
from doable.settings import Settings


@contextmanager
def server_of(settings: Settings) -> Iterator[None]:
    """Hold a lock beside the file, of which nothing is left when this process ends, however it ends.

    Not on the file itself: closing it would take from SQLite the locks that it has there.
    """
    if not settings.embedded:
        yield
        return
    file = sqlite_file(settings)
    with file.with_name(f"{file.name}-serving").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"{file} is served already, and one process serves a SQLite file; several share PostgreSQL"
            raise Failure(message) from None
        yield
