"""Waiting for what will be so."""

import asyncio
from collections.abc import Callable

_SECONDS = 30


async def until(condition: Callable[[], bool]) -> None:
    """Look again and again; fails when it takes too long."""
    async with asyncio.timeout(_SECONDS):
        while not condition():  # noqa: ASYNC110 — what is waited for happens elsewhere and rings no bell
            await asyncio.sleep(0.01)
