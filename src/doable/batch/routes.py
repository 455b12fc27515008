"""Batches over HTTP."""

from typing import Annotated, cast

from fastapi import APIRouter, Depends, Request
from fastapi.exceptions import RequestValidationError

from doable.accounts.access import CurrentActor
from doable.accounts.scopes import Scope
from doable.batch import operations, plans
from doable.batch.operations import Batch, Result
from doable.batch.plans import Step
from doable.batch.schemas import BatchRequest, BatchResponse, BatchResult
from doable.core.errors import Code
from doable.core.http import openapi
from doable.core.http.answers import Headers
from doable.core.http.idempotency import IsKeyed
from doable.core.http.routing import Route
from doable.core.http.transaction import Tx
from doable.lists import shapes as lists_shapes
from doable.todos import shapes as todos_shapes

router = APIRouter(tags=["batch"], route_class=Route)

STATUS = {"todo.create": 201, "list.create": 201, "todo.delete": 204}


async def _planned(actor: CurrentActor, body: BatchRequest) -> list[Step]:
    """Scopes are looked at before the bodies of the operations."""
    for operation in body.operations:
        actor.need(cast("Scope", f"{operation.op.partition('.')[0]}s:write"))
    try:
        return plans.plan(body.operations)
    except plans.PlanError as error:
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in error.errors]) from None


@router.post(
    "/batch",
    responses=openapi.errors(
        Code.NOT_FOUND,
        Code.FORBIDDEN,
        Code.INSUFFICIENT_SCOPE,
        Code.ALREADY_EXISTS,
        Code.IN_TRASH,
        Code.CONFLICT,
        Code.LIMIT_REACHED,
        Code.OCCURRENCE_REQUIRED,
        Code.PRECONDITION_FAILED,
    )
    | openapi.headers(200, "Doable-Position"),
)
async def run_batch(
    actor: CurrentActor,
    body: BatchRequest,  # noqa: ARG001 — the document shows it
    steps: Annotated[list[Step], Depends(_planned)],
    keyed: IsKeyed,
    tx: Tx,
    headers: Headers,
    request: Request,
) -> BatchResponse:
    """Up to 100 operations in one transaction: all of them happen, or none.

    A later operation may use what an earlier one has made: `"ref": "trip"` gives a result a name, `"$trip"` is its id.
    The error is that of the first operation that fails; its details say which one it is. A token needs the scope of
    each operation.
    """
    results = await operations.run(tx, Batch(actor, request.state.epoch, keyed, steps))
    _tell_position(results, headers)
    return BatchResponse(results=[_shown(result) for result in results])


def _shown(result: Result) -> BatchResult:
    todo, home = result.todo, result.list
    return BatchResult(
        ref=result.step.ref,
        status=STATUS.get(result.step.op, 200),
        todo=None if todo is None else todos_shapes.shown(todo),
        list=None if home is None else lists_shapes.shown(home),
    )


def _tell_position(results: list[Result], headers: Headers) -> None:
    """There is one to tell when one list has been written to."""
    written = {result.list_id: result.revision for result in results if result.revision is not None}
    if len(written) == 1:
        headers.position(max(written.values()))
