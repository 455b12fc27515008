"""What a person decides of a todo, by its names on the wire, becomes columns."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from doable.core import changes, text
from doable.todos import schedule
from doable.todos.statements import TodoRow

SORTED_LENGTH = 200
"""Code points of a title that count for its order: compatibility forms can be eighteen times as long as the title."""


def columns(row: TodoRow, wanted: Mapping[str, object], now: datetime) -> dict[str, Any]:
    """`completed` and `deleted` become instants; the sort key follows the title, the anchor due and recurrence.

    `row` is the todo as it was before. Raises `VALIDATION_ERROR` for what the two together cannot be.
    """
    new = changes.instants(row, wanted, now, "completed", "deleted")
    if new.get("deleted_at") is not None and row.deleted_at is None:
        new["deleted_with"] = row.id
    if isinstance(title := new.get("title"), str):
        new["title_key"] = sort_key(title)
    return schedule.columns(row, new)


def sort_key(title: str) -> str:
    """Titles that are equal so far are in the order of their ids."""
    return text.key(title)[:SORTED_LENGTH]
