"""Reminders over HTTP."""

from fastapi import APIRouter

from doable.core.errors import Code
from doable.core.http import openapi
from doable.core.http.answers import Headers
from doable.core.http.paging import CursorKey, Paging
from doable.core.http.routing import Route
from doable.core.http.transaction import Reads, Tx
from doable.core.pages import Page
from doable.core.types import UuidStr, changes
from doable.reminders import operations, shapes, statements
from doable.reminders.operations import New
from doable.reminders.schemas import ReminderCreate, ReminderResponse
from doable.todos import access
from doable.todos.routes import TodoReader, TodoWriter

router = APIRouter(prefix="/todos/{todo_id}/reminders", tags=["reminders"], route_class=Route)

HAVING = openapi.errors(Code.NOT_FOUND, Code.INSUFFICIENT_SCOPE)


@router.get("", responses=HAVING | openapi.errors(Code.INVALID_CURSOR))
async def list_reminders(
    actor: TodoReader, todo_id: UuidStr, reads: Reads, paging: Paging, cursors: CursorKey
) -> Page[ReminderResponse]:
    """Mine, of this todo; nobody else sees them."""
    await access.visible(reads, actor, todo_id)
    return await statements.REMINDERS.page(
        reads, paging, cursors, shapes.reminder, actor_id=actor.user_id, todo_id=todo_id
    )


@router.post(
    "",
    status_code=201,
    responses=HAVING | openapi.errors(Code.IN_TRASH, Code.LIMIT_REACHED) | openapi.headers(201, "Location"),
)
async def create_reminder(
    actor: TodoWriter, todo_id: UuidStr, body: ReminderCreate, tx: Tx, headers: Headers
) -> ReminderResponse:
    """Have me reminded: once at an instant, or each time relative to the due, which it follows."""
    given = changes(body)
    new = New(given.get("at"), given.get("offset_minutes"), given.get("channels", ["email"]))
    row = await operations.create(tx, actor, todo_id, new)
    headers.location(f"/todos/{todo_id}/reminders/{row.id}")
    return shapes.reminder(row)


@router.delete("/{reminder_id}", status_code=204, responses=HAVING)
async def delete_reminder(actor: TodoWriter, todo_id: UuidStr, reminder_id: UuidStr, tx: Tx) -> None:
    await operations.delete(tx, actor, todo_id, reminder_id)
