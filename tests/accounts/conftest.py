"""What the tests of accounts share: what is behind the API, and a person whose name is no prefix of another."""

import httpx2
import pytest

from doable.core.db import Database
from doable.core.passwords import Hasher
from tests.support import asgi, people
from tests.support.people import Person


@pytest.fixture
def db(running: asgi.Running) -> Database:
    found: Database = running.state["db"]
    return found


@pytest.fixture
def hasher(running: asgi.Running) -> Hasher:
    found: Hasher = running.state["hasher"]
    return found


@pytest.fixture
async def bruno(client: httpx2.AsyncClient) -> Person:
    return await people.register(client, "bruno")
