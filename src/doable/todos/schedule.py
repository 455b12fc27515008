"""Due date and recurrence as columns of a todo, and what becomes of them when it is completed."""

from collections.abc import Mapping
from datetime import date, time
from typing import Any, Literal, cast

from doable.core.errors import invalid_field
from doable.todos import due as dues
from doable.todos import recurrence as recurrences
from doable.todos import rrule
from doable.todos.due import Due
from doable.todos.recurrence import Recurrence
from doable.todos.schemas import DueInput, RecurrenceInput
from doable.todos.statements import OccurrenceRow, TodoRow

_DUE = ("due_date", "due_time", "due_timezone", "due_at", "due_key")
_ANCHORING = ("due_date", "due_time", "due_timezone", "rule", "basis")
"""What a person writes; the instants follow from it and from the time zones of the day."""
_SCHEDULING = frozenset({"due", "recurrence", *_ANCHORING})


def due_of(row: TodoRow | OccurrenceRow) -> Due | None:
    if row.due_date is None:
        return None
    at = None if row.due_time is None else time.fromisoformat(row.due_time)
    return Due(date.fromisoformat(row.due_date), at, row.due_timezone)


def columns(row: TodoRow, wanted: Mapping[str, object]) -> dict[str, Any]:
    """`wanted` with its `due` and `recurrence` as columns. Raises `VALIDATION_ERROR` for a recurrence without a due.

    Where a person has set either to something else, COUNT and INTERVAL run from this due and nothing is done yet.
    """
    new: dict[str, Any] = dict(wanted)
    if _SCHEDULING.isdisjoint(new):
        return new
    if "due" in new:
        given = cast("DueInput | None", new.pop("due"))
        new |= dict.fromkeys(_DUE) if given is None else due_columns(Due(given.date, given.time, given.timezone))
    if "recurrence" in new:
        recurrence = cast("RecurrenceInput | None", new.pop("recurrence"))
        new |= {"rule": recurrence and recurrence.rule, "basis": recurrence and recurrence.basis}
    set_now = {name: new[name] for name in _ANCHORING if name in new}
    after = row._replace(**set_now)
    if after.rule is not None and after.due_date is None:
        raise invalid_field("body.recurrence", "What recurs needs a due date.")
    if any(getattr(row, name) != value for name, value in set_now.items()):
        new |= {"anchor": None if after.rule is None else after.due_date, "done": 0}
    return new


def completes(row: TodoRow, new: Mapping[str, Any]) -> Due | None:
    """The occurrence that these columns complete; `None` unless they complete an open, recurring todo."""
    if row.completed_at is not None or new.get("completed_at") is None:
        return None
    after = row._replace(**new)
    return None if after.rule is None else due_of(after)


def rolled(row: TodoRow, new: Mapping[str, Any], home: str) -> Mapping[str, Any]:
    """`new`, but a recurring todo that is completed stays open and is due again, unless this was the last time.

    `home`: the zone of whoever completes it, for dues that have none.
    """
    due = completes(row, new)
    if due is None:
        return new
    after = row._replace(**new)
    today = dues.day_of(new["completed_at"], due, home)
    following = recurrences.next_due(_recurrence(after), due, today)
    moved = {} if following is None else {**due_columns(following), "completed_at": None}
    return {**new, **moved, "done": after.done + 1}


def due_columns(due: Due) -> dict[str, Any]:
    """As a person wrote it, and what it is sorted by."""
    at = None if due.time is None else due.time.isoformat("minutes")
    return dict(zip(_DUE, (due.date.isoformat(), at, due.timezone, dues.instant(due), dues.sort_key(due)), strict=True))


def _recurrence(row: TodoRow) -> Recurrence:
    rule, basis, anchor = cast("tuple[str, Literal['due', 'completion'], str]", (row.rule, row.basis, row.anchor))
    return Recurrence(rrule.parse(rule), basis, date.fromisoformat(anchor), row.done)
