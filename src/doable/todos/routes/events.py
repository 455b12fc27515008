"""The log over HTTP. The events of a list are here and not in lists: they tell of todos."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import ConfigDict, Field

from doable.core import events as log
from doable.core.errors import Code
from doable.core.http import openapi
from doable.core.http.answers import Headers
from doable.core.http.paging import CursorKey, Paging
from doable.core.http.routing import Route
from doable.core.http.transaction import Reads, Tx
from doable.core.pages import Page
from doable.core.types import Digits, Output, UuidStr
from doable.lists import access as lists_access
from doable.lists import shapes as lists_shapes
from doable.todos import access, statements
from doable.todos.events import EVENT_EXAMPLE, EventResponse
from doable.todos.operations import undoing
from doable.todos.routes import TodoReader, TodoWriter

router = APIRouter(tags=["events"], route_class=Route)


class EventsResponse(Output):
    epoch: Annotated[str, Field(examples=["k3v9x2mq"])]
    revision: Annotated[int, Field(description="Of the list, when it was read.", examples=[5])]
    events: list[EventResponse]
    more: Annotated[bool, Field(description="Ask again after the last event.", examples=[False])]


class UndoResponse(Output):
    model_config = ConfigDict(json_schema_extra={"examples": [{"events": [EVENT_EXAMPLE]}]})

    events: Annotated[list[EventResponse], Field(description="What this has made happen.")]


Position = Annotated[
    str | None,
    Query(
        pattern=r"^[a-z0-9]{8,16}:(0|[1-9][0-9]{0,17})$",
        description="`EPOCH:REVISION`, of the last event that you know. Absent: from the beginning.",
        examples=["k3v9x2mq:4"],
    ),
]


Revision = Annotated[Digits, Path(ge=1, lt=10**18, description="Of any event of the operation.", examples=[5])]


@router.get(
    "/lists/{list_id}/events",
    response_model=EventsResponse,
    responses=openapi.errors(Code.NOT_FOUND, Code.POSITION_LOST, Code.INSUFFICIENT_SCOPE),
)
async def list_events(
    actor: TodoReader,
    list_id: UuidStr,
    reads: Reads,
    request: Request,
    after: Position = None,
    limit: Annotated[Digits, Query(ge=1, le=1000)] = 100,
) -> Response:
    """What has happened in a list since a position, oldest first. No event is ever skipped.

    Continue after the last event while there is `more`, then after `revision`. `POSITION_LOST`: read the list
    again as a whole. A token needs `todos:read`, because events show todos.
    """
    # The revision is read before the rows: all events up to it are there by then, later ones wait for the next call.
    (home,) = await lists_access.all_visible(reads, actor, (list_id,))
    epoch: str = request.state.epoch
    known_epoch, _, known = (after or f"{epoch}:0").partition(":")
    if known_epoch != epoch:
        raise log.position_lost()
    rows = await log.since(reads, list_id, int(known), home.revision, limit)
    more = bool(rows) and rows[-1].revision < home.revision
    shown = [lists_shapes.event(row) for row in rows]
    return _json({"epoch": epoch, "revision": home.revision, "events": shown, "more": more})


@router.post(
    "/lists/{list_id}/events/{revision}/undo",
    responses=openapi.errors(
        Code.NOT_FOUND, Code.FORBIDDEN, Code.INSUFFICIENT_SCOPE, Code.POSITION_LOST, Code.UNDO_CONFLICT
    )
    | openapi.headers(200, "Doable-Position"),
)
async def undo_event(actor: TodoWriter, list_id: UuidStr, revision: Revision, tx: Tx, headers: Headers) -> UndoResponse:
    """Take back what I have done, with all that one operation of mine made happen in this list.

    What was created goes into the trash, what was deleted comes back, fields are again what they were. 409 where
    something newer stands in the way; `details` say what. An undo can be undone. A token needs `lists:write` too, where
    it is the list that was changed.
    """
    made = await undoing.undo(tx, actor, list_id, revision)
    if made:
        headers.position(made[-1].revision)
    return UndoResponse.model_validate_json(orjson.dumps({"events": [lists_shapes.event(row) for row in made]}))


@router.get(
    "/todos/{todo_id}/history",
    response_model=Page[EventResponse],
    responses=openapi.errors(Code.INVALID_CURSOR, Code.NOT_FOUND, Code.INSUFFICIENT_SCOPE),
)
async def get_history(
    actor: TodoReader, todo_id: UuidStr, reads: Reads, paging: Paging, cursors: CursorKey
) -> Response:
    """What has happened to a todo, newest first, in the lists that I may see now."""
    await access.visible(reads, actor, todo_id)
    page = await statements.HISTORY.page(
        reads, paging, cursors, lists_shapes.event, actor_id=actor.user_id, todo_id=todo_id
    )
    return _json(dict(page))


def _json(answer: dict[str, object]) -> Response:
    """Written here and not by FastAPI: the data of events are in it as they are stored."""
    return Response(orjson.dumps(answer), media_type="application/json")
