"""Ana in Zagreb, whose address is proved."""

import pytest

from tests.support.accounts import Mailbox
from tests.support.people import Person


@pytest.fixture
async def ana(ana: Person, mailbox: Mailbox) -> Person:
    token = await mailbox.token("ana@example.com", "")
    assert (await ana.post("/auth/verify-email", {"token": token})).status_code == 204
    assert (await ana.patch("/users/me", {"timezone": "Europe/Zagreb"})).status_code == 200
    return ana
