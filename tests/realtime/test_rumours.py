"""What the hub says may be false: it costs a look at the database, and nothing else."""

import asyncio
from uuid import UUID

import pytest

from doable.accounts import endings
from tests.support.people import Person
from tests.support.rooms import Served

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PROMPTLY = 5.0
FALSE = [100_000, 2**63 - 1, -1]


@pytest.mark.parametrize("number", FALSE)
async def test_after_a_false_number_sessions_still_end(served: Served, ana: Person, number: int) -> None:
    async with served.visit(ana, ana.inbox_id) as seat:
        served.state["hub"].hear_moved(endings.STREAM, number)
        await asyncio.sleep(0.2)  # it is read
        await ana.post("/auth/logout")
        assert (await seat.closed(PROMPTLY))[0] == 4004
