"""Jobs that a test has done when it says so."""

from doable.core import clock, ids
from doable.core.jobs import Job, Run
from doable.core.jobs.worker import Worker
from tests.support import asgi


async def work(running: asgi.Running) -> None:
    """Do what is due."""
    worker: Worker = running.state["worker"]
    await worker.drain()


async def run_job(running: asgi.Running, job: Job[None]) -> None:
    """Do what a periodic job does when it is due."""
    worker: Worker = running.state["worker"]
    await job.run(Run(ids.new_id(), 1, clock.now(), worker._tools), "null")
