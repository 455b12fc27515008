"""A file comes in, part by part, and is given up or queued."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from doable.accounts import access as accounts_access
from doable.accounts.access import Actor
from doable.accounts.events import UserDeleted
from doable.core import clock
from doable.core.db import SerializationFailure, Transaction
from doable.core.errors import AppException, Code
from doable.transfer import statements
from doable.transfer.sources import Element
from doable.transfer.statements import ImportRow

MOST_UNFINISHED = 5
"""Imports that a person may have under way, those that are still being received included."""
ABANDONED = timedelta(minutes=10)
"""After that a file is not being received any more: a body has to come within a minute, and its process has died."""


async def open_import(tx: Transaction, actor: Actor, import_id: UUID, source: str) -> None:
    """Raises `LIMIT_REACHED`."""
    await accounts_access.alive(tx, actor)  # locked, so that its limit sees every import
    now = clock.now()
    if await tx.one(statements.UNFINISHED, actor_id=actor.user_id, abandoned_before=now - ABANDONED) >= MOST_UNFINISHED:
        raise AppException(Code.LIMIT_REACHED, f"A person may have {MOST_UNFINISHED} imports under way at most.")
    row = ImportRow(import_id, actor.user_id, source, "receiving", None, None, 0, 0, 0, 0, 0, "[]", now, None)
    await tx.execute(statements.INSERT_IMPORT, **row._asdict())


async def add(tx: Transaction, import_id: UUID, number: int, elements: Sequence[Element]) -> None:
    """Keep elements of one kind."""
    text = b"[" + b",".join(element.text for element in elements) + b"]"
    await tx.execute(
        statements.INSERT_PART, import_id=import_id, number=number, kind=elements[0].kind, elements=text.decode()
    )


async def finish(tx: Transaction, import_id: UUID, parts: int, digest: bytes) -> ImportRow:
    """The file is complete; the caller has it applied."""
    row = await tx.first(statements.RECEIVED, import_id=import_id, all_parts=parts, its_digest=digest)
    if row is None:
        raise SerializationFailure("the account or its import has gone meanwhile")
    return row


async def give_up(tx: Transaction, import_id: UUID) -> None:
    """Forget what came of a file that is not complete, or is none."""
    await tx.execute(statements.FORGET, import_id=import_id)


async def forget(tx: Transaction, fact: UserDeleted) -> None:
    await tx.execute(statements.FORGET_ALL, actor_id=fact.user_id)
