"""`doable serve`: from the settings to a server that answers."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy import select

import doable
from doable.accounts.tables import users
from doable.cli import banner, environment, examples, migrate, sole
from doable.cli.failures import MISCONFIGURED, Failure
from doable.cli.server import BACKLOG, Server
from doable.cli.supervisor import Supervisor
from doable.core import telemetry
from doable.core.queries import query, scalar
from doable.settings import Settings, get_settings

_ANYBODY = query(scalar, select(users.c.id).where(users.c.deleted_at.is_(None)).limit(1))


@click.command(
    context_settings={"show_default": True},
    epilog=examples.epilog(
        "doable serve",
        "doable serve --host 0.0.0.0 --port 80",
        "DATABASE_URL=postgresql://doable@db/doable doable serve --workers 4",
    ),
)
@click.option("--host", default="127.0.0.1", envvar="HOST", show_envvar=True, help="Address to listen on.")
@click.option(
    "--port",
    default=8000,
    type=click.IntRange(0, 65535),
    envvar="PORT",
    show_envvar=True,
    help="TCP port; 0 takes a free one.",
)
@click.option("--workers", default=1, type=click.IntRange(1, 256), help="Processes; several need PostgreSQL.")
@click.option("--reload", is_flag=True, help="Start again when the source changes; for development.")
@click.option("--no-migrate", is_flag=True, help="Leave the schema of the database alone.")
def serve(host: str, port: int, workers: int, *, reload: bool, no_migrate: bool) -> None:
    """Run the server.

    Brings the database to the newest schema and serves until it is told to stop: SIGTERM and Ctrl-C let requests
    finish, a second one does not. With several workers, SIGHUP replaces one after the other.
    """
    # Nothing that can be left half done is under way yet, a migration being one transaction.
    # The first process of a container ignores what it does not handle.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    settings = environment.read_settings()
    _refuse_impossible(settings, workers, reload=reload)
    environment.prepare_folders(settings)
    with sole.server_of(settings):
        _serve(settings, host, port, workers, reload=reload, migrating=not no_migrate)


def _serve(settings: Settings, host: str, port: int, workers: int, *, reload: bool, migrating: bool) -> None:
    listener = _bind("--port", host, port)
    settings = _with_public_url(settings, listener)
    metrics = _bind("METRICS_PORT", "127.0.0.1", settings.metrics_port) if settings.metrics_port else None
    anybody = asyncio.run(_prepare(settings, migrating=migrating))
    with _address("--port", host, port):
        listener.listen(BACKLOG)
    telemetry.configure(settings)
    click.echo(banner.render(settings, listener.getsockname()[:2], workers=workers, anybody=anybody))
    if workers == 1 and not reload:
        Server(settings, metrics=metrics).run(sockets=[listener])
    else:
        watched = Path(doable.__path__[0]) if reload else None
        grace = settings.shutdown_grace_seconds
        raise SystemExit(asyncio.run(Supervisor(listener, workers, grace=grace, watched=watched).run()))


def _refuse_impossible(settings: Settings, workers: int, *, reload: bool) -> None:
    if workers > 1 and settings.embedded:
        message = "--workers needs PostgreSQL (DATABASE_URL=postgresql://…): a SQLite file is served by one process"
        raise Failure(message, exit_code=MISCONFIGURED)
    if settings.metrics_port and (workers > 1 or reload):
        message = (
            "METRICS_PORT is one port, which several processes cannot share; with --workers or --reload set "
            "METRICS_TOKEN and read /metrics on the main port, which answers for the process that it meets"
        )
        raise Failure(message, exit_code=MISCONFIGURED)


def _bind(name: str, host: str, port: int) -> socket.socket:
    """Early, to fail early; a second server that was as quick is found out when it listens."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with _address(name, host, port):
        listener.bind((host, port))
    return listener


def _with_public_url(settings: Settings, listener: socket.socket) -> Settings:
    """Where PUBLIC_URL is not set, links lead to where this server listens; workers read it from the environment."""
    if "public_url" in settings.model_fields_set:
        return settings
    host, port = listener.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 — compared, not bound
        host = "127.0.0.1"
    os.environ["PUBLIC_URL"] = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    get_settings.cache_clear()
    return get_settings()


@contextmanager
def _address(name: str, host: str, port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Failure(f"{name}: {host}:{port} cannot be listened on: {error.strerror}") from None


async def _prepare(settings: Settings, *, migrating: bool) -> bool:
    """Whether there is a user, in a database that is fit to be served."""
    if migrating and await migrate.bring_up_to_date(settings):
        click.echo(migrate.CHANGED)
    async with environment.open_database(settings) as db:
        if not migrating and await migrate.find_schema(settings) is migrate.Schema.OLD:
            raise Failure("The database does not have the newest schema, and --no-migrate leaves it as it is.")
        return await db.reads.first(_ANYBODY) is not None
