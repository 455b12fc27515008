"""What a batch will do, before anything is done: every id is known, and every body is as it has to be."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from doable.batch.schemas import BODIES, Operation
from doable.core import ids
from doable.core.types import Input, UuidStr, changes

_MARK = "$"
_SIBLINGS = frozenset({"before", "after"})

_old_id = TypeAdapter[UUID](UuidStr)


class Step(NamedTuple):
    """`id`: of the todo or list; `wanted`: the members of the body that were sent."""

    op: str
    ref: str | None
    id: UUID
    if_version: int | None
    wanted: dict[str, Any]

    @property
    def creates(self) -> bool:
        return self.op.endswith(".create")


class PlanError(Exception):
    """`errors` are like Pydantic's, their places begin at the batch."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__()
        self.errors = errors


class _Invalid(Exception):
    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def plan(operations: list[Operation]) -> list[Step]:
    """Raises `PlanError` with all that is wrong."""
    steps: list[Step] = []
    known: dict[str, UUID] = {}
    errors: list[dict[str, Any]] = []
    for index, operation in enumerate(operations):
        place = ("operations", index)
        try:
            step = _step(operation, known)
        except _Invalid as error:
            errors.append({"loc": (*place, error.field), "msg": str(error), "type": "value_error"})
        except ValidationError as error:
            errors += [
                {"loc": (*place, "data", *one["loc"]), "msg": one["msg"], "type": one["type"]}
                for one in error.errors(include_url=False, include_input=False, include_context=False)
            ]
        else:
            steps.append(step)
            if step.ref is not None:
                known[step.ref] = step.id
    if errors:
        raise PlanError(errors)
    return steps


def _step(operation: Operation, known: Mapping[str, UUID]) -> Step:
    sent = changes(operation)
    ref: str | None = sent.get("ref")
    if ref in known:
        raise _Invalid("ref", "An earlier operation has this ref.")
    data = {name: _resolved(name, value, known) for name, value in sent.get("data", {}).items()}
    if operation.op.endswith(".create"):
        _refuse(sent, "id", "What is created has its id in data.")
        _refuse(sent, "if_version", "What is created has no version yet.")
        wanted = changes(_body(operation.op, data))
        return Step(operation.op, ref, wanted.pop("id", None) or ids.new_id(), None, wanted)
    if "id" not in sent:
        raise _Invalid("id", "Say which one is meant.")
    try:
        subject = _old_id.validate_python(_resolved("id", sent["id"], known))
    except ValidationError as error:
        raise _Invalid("id", error.errors()[0]["msg"]) from None
    return Step(operation.op, ref, subject, sent.get("if_version"), changes(_body(operation.op, data)))


def _body(op: str, data: dict[str, object]) -> Input:
    return BODIES[op].model_validate(data)


def _refuse(sent: Mapping[str, object], field: str, message: str) -> None:
    if field in sent:
        raise _Invalid(field, message)


def _resolved(name: str, value: object, known: Mapping[str, UUID]) -> object:
    """The id that a `$ref` means; every other value as it is."""
    names_one = name == "id" or name.endswith("_id") or name in _SIBLINGS
    if not names_one or not isinstance(value, str) or not value.startswith(_MARK):
        return value
    if value[1:] not in known:
        raise _Invalid("id" if name == "id" else f"data.{name}", "No earlier operation has this ref.")
    return str(known[value[1:]])
