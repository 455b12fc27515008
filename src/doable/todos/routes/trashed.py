"""The trash over HTTP; a todo is restored where it is, below /todos."""

from fastapi import APIRouter

from doable.core.errors import Code
from doable.core.http import openapi
from doable.core.http.answers import Headers
from doable.core.http.paging import CursorKey, Paging
from doable.core.http.routing import Route
from doable.core.http.transaction import Reads, Tx
from doable.core.pages import Page
from doable.core.types import UuidStr
from doable.todos import shapes
from doable.todos.operations import trash
from doable.todos.routes import WRITING, TodoReader, TodoWriter
from doable.todos.schemas import TodoResponse
from doable.todos.statements.trash import TRASH

router = APIRouter(prefix="/trash", tags=["trash"], route_class=Route)


@router.get("", responses=openapi.errors(Code.INVALID_CURSOR, Code.INSUFFICIENT_SCOPE))
async def list_trash(actor: TodoReader, paging: Paging, cursors: CursorKey, reads: Reads) -> Page[TodoResponse]:
    """What is in the trash of the lists that I may see, the newest deletion first."""
    return await TRASH.page(reads, paging, cursors, shapes.shown, actor_id=actor.user_id)


@router.delete("/{todo_id}", status_code=204, responses=WRITING | openapi.headers(204, "Doable-Position"))
async def purge_todo(actor: TodoWriter, todo_id: UuidStr, tx: Tx, headers: Headers) -> None:
    """Delete a todo of the trash for good, with all below it; only the owner of the list may.

    The log keeps that there was something, and forgets what it said.
    """
    headers.position(await trash.purge(tx, actor, todo_id))
