"""The operations on todos over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from doable.accounts import access as accounts_access
from doable.accounts.access import Actor
from doable.core import ids
from doable.core.changes import Changed
from doable.core.errors import Code, invalid_field
from doable.core.http import openapi
from doable.core.http.answers import Headers
from doable.core.http.conditional import IfMatch
from doable.core.http.idempotency import IsKeyed
from doable.core.http.paging import CursorKey, Paging
from doable.core.http.routing import Route
from doable.core.http.transaction import Reads, Tx
from doable.core.pages import Page
from doable.core.types import NewUuid, UuidStr, changes
from doable.lists import access as lists_access
from doable.todos import access, shapes, statements
from doable.todos.operations import creation, editing, moving, trash
from doable.todos.operations.completion import Once
from doable.todos.routes.filters import Chosen
from doable.todos.schemas import (
    Completion,
    OccurrenceResponse,
    TodoCreate,
    TodoPlace,
    TodoPut,
    TodoResponse,
    TodoUpdate,
)
from doable.todos.statements import TodoRow

router = APIRouter(prefix="/todos", tags=["todos"], route_class=Route)

TodoReader = Annotated[Actor, Depends(accounts_access.actor("todos:read"))]
TodoWriter = Annotated[Actor, Depends(accounts_access.actor("todos:write"))]

NOW = Completion()
WRITING = openapi.errors(Code.NOT_FOUND, Code.FORBIDDEN, Code.INSUFFICIENT_SCOPE)
CHANGING = WRITING | openapi.errors(Code.IN_TRASH)
COMPLETING = CHANGING | openapi.errors(Code.OCCURRENCE_REQUIRED)
WRITTEN = openapi.headers(200, "ETag", "Doable-Position")


@router.get(
    "",
    response_model=Page[TodoResponse],
    responses=openapi.errors(Code.INVALID_CURSOR, Code.NOT_FOUND, Code.INSUFFICIENT_SCOPE)
    | openapi.headers(200, "ETag"),
)
async def list_todos(
    actor: TodoReader,
    chosen: Chosen,
    paging: Paging,
    cursors: CursorKey,
    reads: Reads,
    headers: Headers,
) -> Response:
    """My todos in all lists that are not archived, or in the lists that are named; never those in the trash."""
    if chosen.list_ids:
        # The position is read before the rows: an ETag may be older than them, never newer.
        named = await lists_access.all_visible(reads, actor, chosen.list_ids)
        if len(named) == 1:
            headers.etag(named[0].revision)
    listing = statements.todos_by(shapes.from_columns, chosen.filter, chosen.sort)
    fields = await listing.fields(reads, paging, cursors, actor_id=actor.user_id, **chosen.parameters)
    return headers.answer(fields)


@router.post(
    "",
    response_model=TodoResponse,
    status_code=201,
    responses=WRITING
    | openapi.errors(Code.IN_TRASH, Code.ALREADY_EXISTS, Code.LIMIT_REACHED)
    | openapi.headers(201, "ETag", "Location", "Doable-Position"),
)
async def create_todo(actor: TodoWriter, body: TodoCreate, tx: Tx, headers: Headers) -> Response:
    """Add a todo at the end of a list, or of the subtasks of another todo."""
    sent = changes(body)
    list_id = sent.pop("list_id", None)
    new = creation.New(sent.pop("id", None) or ids.new_id(), sent)
    answer = headers.made_of(_created)
    return answer.to(await creation.create(tx, actor, list_id, new, alone=True))


@router.get(
    "/{todo_id}",
    response_model=TodoResponse,
    responses=openapi.errors(Code.NOT_FOUND, Code.INSUFFICIENT_SCOPE) | openapi.headers(200, "ETag"),
)
async def get_todo(actor: TodoReader, todo_id: UuidStr, reads: Reads, headers: Headers) -> Response:
    """One todo, also from the trash."""
    row = await access.visible(reads, actor, todo_id)
    headers.etag(row.version)
    return headers.answer(shapes.wire(row))


@router.put(
    "/{todo_id}",
    response_model=TodoResponse,
    status_code=201,
    responses=WRITING
    | openapi.errors(Code.IN_TRASH, Code.ALREADY_EXISTS, Code.LIMIT_REACHED)
    | openapi.headers(201, "ETag", "Location", "Doable-Position")
    | {200: {"model": TodoResponse, "description": "It is there already."} | openapi.headers(200, "ETag")[200]},
)
async def put_todo(actor: TodoWriter, todo_id: NewUuid, body: TodoPut, tx: Tx, headers: Headers) -> Response:
    """Create a todo under an id that the client has made. Sent again it changes nothing; it never overwrites."""
    sent = changes(body)
    members = frozenset(sent)
    list_id = sent.pop("list_id", None)
    answer = headers.made_of(_created)
    return answer.to(await creation.put(tx, actor, list_id, creation.New(todo_id, sent), members))


@router.patch("/{todo_id}", response_model=TodoResponse, responses=COMPLETING | WRITTEN)
async def update_todo(
    actor: TodoWriter, todo_id: UuidStr, body: TodoUpdate, tx: Tx, expected: IfMatch, keyed: IsKeyed, headers: Headers
) -> Response:
    """Change what is sent and nothing else. To complete a recurring todo takes If-Match or Idempotency-Key."""
    once = Once(keyed=keyed)
    answer = headers.made_of(_changed)
    return answer.to(await editing.update_alone(tx, actor, todo_id, changes(body), expected, once))


@router.delete(
    "/{todo_id}",
    status_code=204,
    responses=WRITING | openapi.headers(204, "Doable-Position"),
)
async def delete_todo(actor: TodoWriter, todo_id: UuidStr, tx: Tx, expected: IfMatch, headers: Headers) -> None:
    """Put a todo in the trash, with all below it."""
    change = await editing.delete(tx, actor, todo_id, expected)
    headers.position(change.revision)


@router.put("/{todo_id}/completion", response_model=TodoResponse, responses=COMPLETING | WRITTEN)
async def complete_todo(
    actor: TodoWriter,
    todo_id: UuidStr,
    tx: Tx,
    expected: IfMatch,
    keyed: IsKeyed,
    headers: Headers,
    body: Completion = NOW,
) -> Response:
    """Complete a todo and all below it; nothing happens to one that is completed already.

    One that recurs is due again instead, once for each `occurrence`: when that is not its due date any more, it has
    been completed before and nothing happens. If-Match or Idempotency-Key will do in place of `occurrence`.
    """
    once = Once(body.occurrence, keyed)
    return _changed(await editing.complete(tx, actor, todo_id, body.completed_at, expected, once), headers)


@router.get(
    "/{todo_id}/occurrences",
    responses=openapi.errors(Code.INVALID_CURSOR, Code.NOT_FOUND, Code.INSUFFICIENT_SCOPE),
)
async def list_occurrences(
    actor: TodoReader, todo_id: UuidStr, reads: Reads, paging: Paging, cursors: CursorKey
) -> Page[OccurrenceResponse]:
    """The times that a recurring todo has been completed, newest first."""
    await access.visible(reads, actor, todo_id)
    return await statements.OCCURRENCES.page(
        reads, paging, cursors, shapes.occurrence, actor_id=actor.user_id, todo_id=todo_id
    )


@router.delete("/{todo_id}/completion", response_model=TodoResponse, responses=CHANGING | WRITTEN)
async def reopen_todo(actor: TodoWriter, todo_id: UuidStr, tx: Tx, expected: IfMatch, headers: Headers) -> Response:
    """Open a completed todo again, but not those below it; nothing happens to one that is open."""
    return _changed(await editing.reopen(tx, actor, todo_id, expected), headers)


@router.put(
    "/{todo_id}/position",
    response_model=TodoResponse,
    responses=CHANGING | openapi.errors(Code.CONFLICT, Code.LIMIT_REACHED) | WRITTEN,
)
async def move_todo(
    actor: TodoWriter, todo_id: UuidStr, body: TodoPlace, tx: Tx, expected: IfMatch, headers: Headers
) -> Response:
    """Move a todo with all below it: among its siblings, below another todo, or to another list.

    It needs a role that may write in both lists. Nothing happens to a todo that is there already.
    """
    wanted = changes(body)
    if {"before", "after"} <= wanted.keys():
        raise invalid_field("body.after", "Send either before or after.")
    return _changed(await moving.move(tx, actor, todo_id, wanted, expected), headers)


@router.put(
    "/{todo_id}/restoration",
    response_model=TodoResponse,
    responses=WRITING | openapi.errors(Code.LIMIT_REACHED) | WRITTEN,
)
async def restore_todo(actor: TodoWriter, todo_id: UuidStr, tx: Tx, headers: Headers) -> Response:
    """Bring a todo back from the trash with all that went there with it; nothing happens to one that is not there.

    When the todo above it is not there any more, it comes to the top.
    """
    return _changed(await trash.restore(tx, actor, todo_id), headers)


def _created(change: Changed[TodoRow], headers: Headers) -> Response:
    if change.revision is None:
        return _changed(change, headers)
    headers.location(f"/todos/{change.row.id}")
    return _changed(change, headers, 201)


def _changed(change: Changed[TodoRow], headers: Headers, status: int = 200) -> Response:
    headers.etag(change.row.version)
    headers.position(change.revision)
    return headers.answer_text(change.text or shapes.text(change.row), status)
