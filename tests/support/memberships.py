"""People in the lists of others, without asking anybody."""

from uuid import UUID

from doable.core import clock
from doable.core.db import Database
from doable.lists.tables import members
from tests.support import asgi
from tests.support.people import Person


async def join(running: asgi.Running, person: Person, list_id: str, role: str = "editor") -> None:
    database: Database = running.state["db"]
    async with database.transaction() as tx:
        values = {"list_id": UUID(list_id), "user_id": UUID(person.user["id"]), "role": role}
        await tx.execute(members.insert(), **values, joined_at=clock.now())
