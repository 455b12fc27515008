"""Rows as files and answers show them."""

import orjson

from doable.todos import shapes as todos_shapes
from doable.todos.statements import TodoRow
from doable.transfer.schemas import ImportResponse, WholeOccurrence, WholeTodo
from doable.transfer.statements import HistoryRow, ImportRow


def todo(row: TodoRow) -> WholeTodo:
    return WholeTodo(**dict(todos_shapes.shown(row)), anchor=row.anchor, deleted_with=row.deleted_with)


def occurrence(row: HistoryRow) -> WholeOccurrence:
    return WholeOccurrence(**dict(todos_shapes.occurrence(row.row)), todo_id=row.todo_id, number=row.row.number)


def shown(row: ImportRow) -> ImportResponse:
    return ImportResponse(
        id=row.id,
        status=row.status,
        parts=row.parts,
        applied=row.applied,
        created=row.created,
        present=row.present,
        refused=row.refused,
        errors=orjson.loads(row.errors),
        created_at=row.created_at,
        finished_at=row.finished_at,
    )
