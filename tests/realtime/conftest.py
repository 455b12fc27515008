"""People with real sockets."""

import pytest

from tests.support.people import Person
from tests.support.rooms import Served
from tests.support.sharing import join


@pytest.fixture
async def ana(served: Served) -> Person:
    return await served.register("ana")


@pytest.fixture
async def ben(served: Served) -> Person:
    return await served.register("ben")


@pytest.fixture
async def home(ana: Person, ben: Person) -> str:
    """A list of Ana's that Ben shares; its third event is his coming."""
    made = await ana.list()
    await join(ana, ben, made["id"])
    return str(made["id"])
