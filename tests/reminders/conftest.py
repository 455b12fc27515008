"""A server that may reach the loopback, a receiver there, and Ana, whose address is proved."""

from collections.abc import AsyncIterator

import pytest

from doable.settings import Settings
from tests.support.accounts import Mailbox
from tests.support.people import Person
from tests.support.receivers import Receiver, listening


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"outbound_networks": ("127.0.0.0/8",)})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with listening() as made:
        yield made


@pytest.fixture
async def ana(ana: Person, mailbox: Mailbox) -> Person:
    token = await mailbox.token("ana@example.com", "")
    assert (await ana.post("/auth/verify-email", {"token": token})).status_code == 204
    assert (await ana.patch("/users/me", {"timezone": "Europe/Zagreb"})).status_code == 200
    return ana
