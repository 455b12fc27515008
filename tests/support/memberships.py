"""People in the lists of others, without asking anybody."""

from uuid import UUID

from doable.accounts.tables import users
from doable.core import clock, ids
from doable.core.db import Database
from doable.lists.tables import members
from tests.support import asgi
from tests.support.people import Person

LONGEST_NAME = 50


async def join(running: asgi.Running, person: Person, list_id: str, role: str = "editor") -> None:
    database: Database = running.state["db"]
    async with database.transaction() as tx:
        values = {"list_id": UUID(list_id), "user_id": UUID(person.user["id"]), "role": role}
        await tx.execute(members.insert(), **values, joined_at=clock.now())


async def crowd(running: asgi.Running, list_id: str, size: int) -> None:
    """So many people more, whose names are long, and who can do nothing."""
    database: Database = running.state["db"]
    now = clock.now()
    people = [
        {
            "id": ids.new_id(),
            "email": f"{n}@example.com",
            "username": "漢" * LONGEST_NAME,
            "is_admin": False,
            "timezone": "UTC",
            "inbox_id": UUID(list_id),
            "created_at": now,
            "updated_at": now,
        }
        for n in range(size)
    ]
    async with database.transaction() as tx:
        await tx.many(users.insert(), people)
        crowd = [{"list_id": UUID(list_id), "user_id": one["id"], "role": "viewer", "joined_at": now} for one in people]
        await tx.many(members.insert(), crowd)
