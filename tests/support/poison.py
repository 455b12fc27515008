"""A worker with jobs that do their process harm: `python -m tests.support.poison DATABASE_URL LEDGER`."""

import asyncio
import os
import resource
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from doable import runtime
from doable.core.hub import LocalHub
from doable.core.jobs import Job, Queue, Retry, Run, Tools, job
from doable.core.jobs.bell import Bell
from doable.core.jobs.worker import Worker
from doable.core.mail import Mailer
from doable.core.outbound import Outbound
from doable.core.telemetry import Metrics
from tests.support import configuration

MEMORY = 2 * 2**30
SHARED = Queue("shared", 1, 8)
LONG = Queue("long", 2, 8)
LONGEST = 60.0
ONCE = Retry(attempts=1)
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


@job("poison.departs", queue=LONG, retry=ONCE, limit=LONGEST)
async def departs(_run: Run, seconds: float) -> None:
    await asyncio.sleep(seconds)
    _write_down(f"departs {time.time()}\n")
    os._exit(1)


@job("poison.blocks", queue=LONG, limit=LONGEST)
async def blocks(_run: Run, seconds: float) -> None:
    """The harm is to be done."""
    time.sleep(seconds)  # noqa: ASYNC251


@job("poison.stays", queue=LONG, limit=LONGEST)
async def stays(run: Run, seconds: float) -> None:
    _write_down(f"begins {run.job_id} {time.time()}\n")
    await asyncio.sleep(seconds)
    _write_down(f"ends {run.job_id} {time.time()}\n")


def _write_down(line: str) -> None:
    with Path(sys.argv[2]).open("a") as ledger:
        ledger.write(line)


BY_NAME = {"raises": raises, "hangs": hangs, "leaves": leaves, "allocates": allocates}


async def main(database_url: str) -> None:
    settings = configuration.make_settings(database_url, Path(os.devnull))
    db, bell = runtime.open_database(settings), Bell()
    tools = Tools(db, settings, Mailer(settings), Outbound(), LocalHub())
    jobs: list[Job[Any]] = [*BY_NAME.values(), works, departs, blocks, stays]
    await Worker(tools, jobs, bell, Metrics().jobs, runtime.presence_in(db, settings)).start()
    _write_down("starts\n")
    await asyncio.Event().wait()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    asyncio.run(main(sys.argv[1]))
