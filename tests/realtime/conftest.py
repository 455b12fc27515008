"""A server with real sockets, and people."""

from collections.abc import AsyncIterator

import pytest

from doable.settings import Settings
from tests.support.people import Person, register
from tests.support.rooms import Served, serving
from tests.support.sharing import join


@pytest.fixture
async def served(settings: Settings) -> AsyncIterator[Served]:
    async with serving(settings) as served:
        yield served


@pytest.fixture
async def ana(served: Served) -> AsyncIterator[Person]:
    async with served.client() as client:
        yield await register(client, "ana")


@pytest.fixture
async def ben(served: Served) -> AsyncIterator[Person]:
    async with served.client() as client:
        yield await register(client, "ben")


@pytest.fixture
async def home(ana: Person, ben: Person) -> str:
    """A list of Ana's that Ben shares; its third event is his coming."""
    made = await ana.list()
    await join(ana, ben, made["id"])
    return str(made["id"])
