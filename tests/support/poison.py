"""A worker with jobs that do their process harm: `python -m tests.support.poison DATABASE_URL LEDGER`."""

import asyncio
import os
import resource
import sys
from datetime import timedelta
from pathlib import Path

from doable import runtime
from doable.core.hub import LocalHub
from doable.core.jobs import Queue, Retry, Run, Tools, job
from doable.core.jobs import worker as worker_module
from doable.core.jobs.bell import Bell
from doable.core.jobs.worker import Worker
from doable.core.mail import Mailer
from doable.core.outbound import Outbound
from doable.core.telemetry import Metrics
from tests.support import configuration

MEMORY = 2 * 2**30
SHARED = Queue("shared", 1, 8)
THRICE = Retry(attempts=3, first=timedelta(seconds=0.1))


@job("poison.raises", queue=SHARED, retry=THRICE, limit=1)
async def raises(_run: Run, _args: str) -> None:
    raise LookupError


@job("poison.hangs", queue=SHARED, retry=THRICE, limit=1)
async def hangs(_run: Run, _args: str) -> None:
    await asyncio.Event().wait()


@job("poison.leaves", queue=SHARED, retry=THRICE, limit=1)
async def leaves(_run: Run, _args: str) -> None:
    os._exit(1)


@job("poison.allocates", queue=SHARED, retry=THRICE, limit=1)
async def allocates(_run: Run, _args: str) -> None:
    held = []
    while True:
        held.append(bytearray(2**28))


@job("poison.works", queue=SHARED, limit=1)
async def works(_run: Run, number: int) -> None:
    _write_down(f"{number}\n")


def _write_down(line: str) -> None:
    with Path(sys.argv[2]).open("a") as ledger:
        ledger.write(line)


BY_NAME = {"raises": raises, "hangs": hangs, "leaves": leaves, "allocates": allocates}


async def main(database_url: str) -> None:
    worker_module.MARGIN_SECONDS = 0.5
    settings = configuration.make_settings(database_url, Path(os.devnull))
    db, bell = runtime.open_database(settings), Bell()
    tools = Tools(db, settings, Mailer(settings), Outbound(), LocalHub())
    await Worker(tools, [*BY_NAME.values(), works], bell, Metrics().jobs).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    asyncio.run(main(sys.argv[1]))
