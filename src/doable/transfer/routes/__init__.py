"""Import and export over HTTP."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.responses import StreamingResponse

from doable.accounts import access as accounts_access
from doable.accounts.access import Actor
from doable.core import clock, ids
from doable.core.errors import AppException, Code
from doable.core.http import idempotency, openapi
from doable.core.http.idempotency import KeyedTransaction
from doable.core.http.routing import Route
from doable.core.http.transaction import Db, Reads
from doable.core.types import UuidStr
from doable.transfer import access, export, shapes
from doable.transfer.routes import uploads
from doable.transfer.schemas import ImportResponse, TransferFile

router = APIRouter(tags=["transfer"], route_class=Route)

CSV = "text/csv"


async def _reader(actor: Annotated[Actor, Depends(accounts_access.actor("todos:read"))]) -> Actor:
    actor.need("lists:read")
    return actor


async def _writer(actor: Annotated[Actor, Depends(accounts_access.actor("todos:write"))]) -> Actor:
    actor.need("lists:write")
    return actor


@router.get(
    "/export",
    response_model=TransferFile,
    responses={200: {"content": {CSV: {"schema": {"type": "string"}}}}, **openapi.errors(Code.INSUFFICIENT_SCOPE)},
)
async def export_everything(
    actor: Annotated[Actor, Depends(_reader)],
    reads: Reads,
    kind: Annotated[Literal["json", "csv"], Query(alias="format")] = "json",
) -> Response:
    """All my lists with their todos, those that others share with me too, and the trash.

    JSON is complete and can be imported again; CSV is for spreadsheets, a todo a row.
    """
    lists = await export.homes(reads, actor)
    file = export.table(reads, actor, lists) if kind == "csv" else export.document(reads, actor, lists)
    media_type = f"{CSV}; charset=utf-8" if kind == "csv" else openapi.JSON
    name = f"doable-{clock.now().date().isoformat()}.{kind}"
    return StreamingResponse(
        file, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


@router.post(
    "/import",
    status_code=202,
    responses=openapi.errors(
        Code.INSUFFICIENT_SCOPE,
        Code.LIMIT_REACHED,
        Code.BODY_TOO_LARGE,
        Code.UNSUPPORTED_MEDIA_TYPE,
        Code.VALIDATION_ERROR,
    ),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                openapi.JSON: {"schema": {"$ref": "#/components/schemas/TransferFile"}},
                CSV: {"schema": {"type": "string"}},
            },
        }
    },
    dependencies=[idempotency.Streamed],
)
async def import_file(
    actor: Annotated[Actor, Depends(_writer)], db: Db, keyed: KeyedTransaction, request: Request
) -> ImportResponse:
    """Have all that is in a file of `GET /export`, or in a template of Todoist as CSV, come in; 32 MiB at most.

    What is here already stays as it is: a file may be sent again.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    source = uploads.source(media_type)
    if source is None:
        raise AppException(Code.UNSUPPORTED_MEDIA_TYPE, "The body has to be application/json or text/csv.")
    return await uploads.receive(uploads.Upload(actor, ids.new_id(), source, request.stream()), db, keyed)


@router.get("/imports/{import_id}", responses=openapi.errors(Code.NOT_FOUND, Code.INSUFFICIENT_SCOPE))
async def get_import(
    actor: Annotated[Actor, Depends(accounts_access.actor("todos:read"))], import_id: UuidStr, reads: Reads
) -> ImportResponse:
    """How far an import is, and what has not come in."""
    return shapes.shown(await access.mine(reads, actor, import_id))
