"""What a command needs before it can begin: settings that make sense, a folder to write in, a database that answers."""

import re
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from doable import runtime
from doable.cli.failures import MISCONFIGURED, UNAVAILABLE, Failure
from doable.core.db import Database, DatabaseError
from doable.settings import Settings, get_settings

_NO_DATABASE_URL = (
    "DATABASE_URL is not a URL such as sqlite:///FILE or postgresql://USER:PASSWORD@HOST:5432/NAME "
    "(in a password everything but letters and digits is written as %XX)"
)
_REDIS_SCHEMES = ("redis", "rediss", "unix")


def read_settings() -> Settings:
    """The settings, if they make sense. Problems are told by the names of variables, never by their values."""
    try:
        settings = get_settings()
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        raise Failure(*map(_sentence, details), exit_code=MISCONFIGURED) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"The file .env cannot be read: {error}", exit_code=MISCONFIGURED) from None
    if problems := [*_database_problems(settings), *_redis_problems(settings)]:
        raise Failure(*problems, exit_code=MISCONFIGURED)
    return settings


def prepare_folders(settings: Settings) -> None:
    """Make DATA_DIR, closed to other users of the machine, unless it is there."""
    folder = settings.data_dir
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        reason = "it is not a folder" if isinstance(error, FileExistsError) else error.strerror
        raise Failure(f"DATA_DIR: {folder} cannot be written to: {reason}", exit_code=MISCONFIGURED) from None
    if settings.embedded and not (place := runtime.sqlite_file(settings).parent).is_dir():
        raise Failure(f"DATABASE_URL: there is no folder {place}", exit_code=MISCONFIGURED)


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """The database, after it has answered."""
    db = runtime.open_database(settings)
    try:
        with _reached(settings):
            await db.ping()
        yield db
    finally:
        await db.close()


def describe_database(settings: Settings) -> str:
    """For people; without credentials."""
    url = make_url(settings.database)
    if settings.embedded:
        return f"SQLite, {url.database}"
    return f"PostgreSQL, {_server(url)}/{url.database or ''}"


def describe_redis(settings: Settings) -> str | None:
    """For people; without credentials. `None`: there is none."""
    if settings.redis_url is None:
        return None
    url = urlsplit(settings.redis_url.get_secret_value())
    return url.path if url.scheme == "unix" else f"{url.hostname or 'localhost'}:{url.port or 6379}"


def _sentence(detail: ErrorDetails) -> str:
    message = re.sub(r"^(Value error, |Input |String |Assertion failed, )", "", detail["msg"])
    return f"{str(detail['loc'][0]).upper()} {message}" if detail["loc"] else message


def _database_problems(settings: Settings) -> Iterator[str]:
    try:
        url = make_url(settings.database)
    except (ArgumentError, ValueError):
        yield _NO_DATABASE_URL
        return
    if settings.embedded:
        if url.database is None or url.database in {"", ":memory:"}:
            yield "DATABASE_URL has to name a file: sqlite:///FILE"
    elif "@" in (url.host or ""):  # the rest of a password, which would be shown as the name of the server
        yield _NO_DATABASE_URL
    elif find_spec("asyncpg") is None:
        yield 'DATABASE_URL names a PostgreSQL database, which needs: pip install "doable[postgres]"'


def _redis_problems(settings: Settings) -> Iterator[str]:
    if settings.redis_url is None:
        return
    try:
        url = urlsplit(settings.redis_url.get_secret_value())
        valid = url.scheme in _REDIS_SCHEMES and url.port != 0
    except ValueError:
        valid = False
    if not valid:
        yield "REDIS_URL is not a URL such as redis://:PASSWORD@HOST:6379/0"
    elif find_spec("redis") is None:
        yield 'REDIS_URL is set, which needs: pip install "doable[redis]"'


@contextmanager
def _reached(settings: Settings) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            raise
        message = f"The database does not answer ({describe_database(settings)}): {reason}"
        raise Failure(message, exit_code=UNAVAILABLE) from None


def _reason(error: Exception) -> str | None:
    """What the driver said. asyncpg may be missing, so its errors are known by their `sqlstate`, not by name."""
    if isinstance(error, DBAPIError):
        return str(error.orig)
    if isinstance(error, DatabaseError | sqlite3.Error | OSError) or hasattr(error, "sqlstate"):
        return str(error) or type(error).__name__
    return None


def _server(url: URL) -> str:
    host = url.host or url.query.get("host") or "localhost"
    return f"{host}:{url.port or 5432}"
