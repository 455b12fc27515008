"""`doable worker`: the background work alone, in a process of its own."""

import asyncio

import click

from doable import worker as working
from doable.cli import database, environment, examples
from doable.core import telemetry
from doable.core.db import Database


@click.command(epilog=examples.epilog("doable worker", "EMBEDDED_WORKER=false doable serve & doable worker"))
def worker() -> None:
    """Do the background work alone.

    `doable serve` does it as well, unless EMBEDDED_WORKER is false. Any number of workers share the work; several
    processes need PostgreSQL. SIGTERM and Ctrl-C let it finish what it does, for some seconds.
    """
    settings = environment.read_settings()
    database.run(Database.ping)
    telemetry.configure(settings)
    asyncio.run(working.run_worker(settings))
