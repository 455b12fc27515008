"""One's own sessions: where one is logged in, and how to end that."""

from fastapi import APIRouter

from doable.accounts.access import CurrentSession
from doable.accounts.operations import sessions
from doable.accounts.routes import shapes
from doable.accounts.schemas import SessionResponse
from doable.accounts.statements import sessions as statements
from doable.accounts.statements.sessions import SessionRow
from doable.core import clock
from doable.core.errors import Code
from doable.core.http import openapi
from doable.core.http.paging import CursorKey, Paging
from doable.core.http.routing import Route
from doable.core.http.transaction import Reads, Tx
from doable.core.pages import Page
from doable.core.types import UuidStr

router = APIRouter(prefix="/auth/sessions", tags=["auth"], route_class=Route)


@router.get("", responses=openapi.errors(Code.SESSION_REQUIRED, Code.INVALID_CURSOR))
async def list_sessions(
    actor: CurrentSession, reads: Reads, paging: Paging, cursors: CursorKey
) -> Page[SessionResponse]:
    """My live sessions, the newest first."""

    def show(row: SessionRow) -> SessionResponse:
        return shapes.session(row, current=actor.session_id)

    return await statements.SESSIONS.page(reads, paging, cursors, show, user_id=actor.user_id, at=clock.now())


@router.delete("", status_code=204, responses=openapi.errors(Code.SESSION_REQUIRED))
async def end_other_sessions(actor: CurrentSession, tx: Tx) -> None:
    """End all my sessions but this one."""
    await sessions.end_others(tx, actor)


@router.delete("/{session_id}", status_code=204, responses=openapi.errors(Code.SESSION_REQUIRED, Code.NOT_FOUND))
async def end_session(actor: CurrentSession, session_id: UuidStr, tx: Tx) -> None:
    """End one of my sessions; it may be this one."""
    await sessions.end(tx, actor, session_id)
