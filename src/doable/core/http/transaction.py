"""What routes ask for: a transaction, the reading door, or the whole database."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Annotated

from fastapi import Depends, Request

from doable.core.claims import Claim
from doable.core.db import Database, Transaction
from doable.core.queries import Reader

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


async def _db(request: Request) -> Database:
    database: Database = request.scope["state"]["db"]
    return database


async def _reads(request: Request) -> Reader:
    database: Database = request.scope["state"]["db"]
    return database.reads


async def transaction(request: Request) -> AsyncIterator[Transaction]:
    """Commits after the answer is serialised and before its first byte; begins at its first statement, if ever."""
    if request.method in SAFE_METHODS:
        message = "a safe method asked for a writing transaction"
        raise RuntimeError(message)
    async with writing(request) as tx:
        yield tx


def writing(request: Request) -> AbstractAsyncContextManager[Transaction]:
    """A transaction that begins by claiming the request's idempotency key, if it has one."""
    state = request.scope["state"]
    database: Database = state["db"]
    claim: Claim | None = state.get("claim")
    return database.transaction(claim)


# FastAPI has changed the place of this exit three times; tests/core/http/test_transaction.py pins it.
Tx = Annotated[Transaction, Depends(transaction, scope="function")]

Db = Annotated[Database, Depends(_db)]
"""For routes whose writes have to survive their own refusal: they open short transactions one after the other."""

Reads = Annotated[Reader, Depends(_reads)]
