"""What a person decides of a todo, by its names on the wire, becomes columns."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from doable.core import changes, text
from doable.todos import schedule, search
from doable.todos.statements import TodoRow

_FOUND_BY = frozenset({"title", "description", "labels"})
SORTED_LENGTH = 200
"""Code points of a title that count for its order: compatibility forms can be eighteen times as long as the title."""


def columns(row: TodoRow, wanted: Mapping[str, object], now: datetime) -> dict[str, Any]:
    """`completed` and `deleted` become instants, labels JSON; the sort key follows the title, the anchor the schedule.

    `row` is the todo as it was before. Raises `VALIDATION_ERROR` for what the two together cannot be.
    """
    new = changes.instants(row, wanted, now, "completed", "deleted")
    if new.get("deleted_at") is not None and row.deleted_at is None:
        new["deleted_with"] = row.id
    if isinstance(title := new.get("title"), str):
        new["title_key"] = sort_key(title)
    if "labels" in new:
        new["labels"] = orjson.dumps(new["labels"]).decode()
    return schedule.columns(row, new)


def terms(row: TodoRow) -> str:
    """What the todo is found by: the column that no answer has, and no row."""
    return search.terms(row.title, row.description, orjson.loads(row.labels))


def stored(after: TodoRow, new: Mapping[str, Any]) -> dict[str, Any]:
    """`new` columns of a todo as they are written: with its terms, where they follow from one of these."""
    return {**new, "terms": terms(after)} if _FOUND_BY & new.keys() else dict(new)


def sort_key(title: str) -> str:
    """Titles that are equal so far are in the order of their ids."""
    return text.key(title)[:SORTED_LENGTH]
