"""A server that may reach the loopback, and receivers there."""

from collections.abc import AsyncIterator

import pytest

from doable.settings import Settings
from tests.support.receivers import Receiver, listening


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"outbound_networks": ("127.0.0.0/8",)})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with listening() as made:
        yield made
