"""A server that may reach the loopback, and receivers there."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from doable.settings import Settings
from tests.support import configuration
from tests.support.receivers import Receiver, listening


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return configuration.make_settings(database_url, tmp_path / "data", outbound_networks=("127.0.0.0/8",))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with listening() as made:
        yield made
