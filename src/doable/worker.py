"""A process that does nothing but the background work."""

import asyncio
import signal

import structlog

from doable import runtime
from doable.settings import Settings

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


async def run_worker(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; a second one ends the process where it stands."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def heard(sig: signal.Signals) -> None:
        stop.set()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(each)
        _log.info("worker_stopping", signal=sig.name)

    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, heard, sig)
    async with runtime.open_runtime(settings, working=True, serving=False) as opened:
        _log.info("worker_started")
        await stop.wait()
        opened.lifecycle.drain()
