"""Synchronisation over HTTP."""

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
from doable.sync.deltas import Progress, Snapshot
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
    actor: Annotated[Actor, Depends(accounts_access.actor("todos:read"))],
    body: SyncRequest,
    db: Db,
    cursors: CursorKey,
    request: Request,
) -> Response:
    """What my copies lack. It changes nothing; asking again is always right.

    A list comes as the events since its revision, as a snapshot where there is no copy or the log does not reach
    back to it, or as gone. After another epoch everything comes as snapshots.
    """
    epoch: str = request.state.epoch
    progress = deltas.NOTHING if body.epoch == epoch else deltas.EVERYTHING
    if body.cursor is not None:
        told = _read(cursors, body.cursor)
        progress = told if body.epoch == epoch else progress
    async with db.snapshot() as reader:
        answer, further = await deltas.since(reader, actor, changes(body).get("revisions", {}), progress)
    cursor = None if further is None else _written(cursors, further)
    return Response(
        orjson.dumps({"epoch": epoch, "deltas": answer.deltas, "continue": cursor}), media_type="application/json"
    )


def _written(cursors: Cursors, progress: Progress) -> str:
    snapshot, fresh_after = progress
    return cursors.write(_KIND, [fresh_after, *(snapshot or ())])


def _read(cursors: Cursors, cursor: str) -> Progress:
    fresh_after, *snapshot = cursors.read(_KIND, cursor)
    begun = None
    if snapshot:
        list_id, revision, after = snapshot
        begun = Snapshot(UUID(list_id), revision, UUID(after))
    return Progress(begun, fresh_after and UUID(fresh_after))
