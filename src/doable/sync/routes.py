"""Synchronisation over HTTP."""

from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Request, Response

from doable.accounts import access as accounts_access
from doable.accounts.access import Actor
from doable.core.errors import Code
from doable.core.http import idempotency, openapi
from doable.core.http.paging import CursorKey
from doable.core.http.routing import Route
from doable.core.http.transaction import Db
from doable.core.pages import Cursors
from doable.core.types import changes
from doable.sync import deltas
from doable.sync.deltas import Snapshot
from doable.sync.schemas import SyncRequest, SyncResponse

router = APIRouter(tags=["sync"], route_class=Route)

_KIND = "sync"


@router.post(
    "/sync",
    response_model=SyncResponse,
    responses=openapi.errors(Code.INVALID_CURSOR, Code.INSUFFICIENT_SCOPE),
    dependencies=[idempotency.Ignored],
)
async def sync(
    actor: Annotated[Actor, Depends(accounts_access.reader("todos:read"))],
    body: SyncRequest,
    db: Db,
    cursors: CursorKey,
    request: Request,
) -> Response:
    """What my copies lack. It changes nothing; asking again is always right.

    A list comes as the events since its revision, as a snapshot where there is no copy or the log does not reach
    back to it, or as gone. After another epoch everything comes as snapshots: drop all copies first.
    """
    epoch: str = request.state.epoch
    known: Mapping[UUID, int | None] = changes(body).get("revisions", {})
    begun = None if body.cursor is None else _read(cursors, body.cursor)
    if body.epoch != epoch:
        known, begun = dict.fromkeys(known), None
    async with db.snapshot() as reader:
        answer = await deltas.since(reader, actor, known, begun)
    cursor = None if answer.complete else cursors.write(_KIND, list(answer.snapshot or ()))
    return Response(
        orjson.dumps({"epoch": epoch, "deltas": answer.deltas, "continue": cursor}), media_type="application/json"
    )


def _read(cursors: Cursors, cursor: str) -> Snapshot | None:
    begun = cursors.read(_KIND, cursor)
    if not begun:
        return None
    list_id, revision, after = begun
    return Snapshot(UUID(list_id), revision, UUID(after))
