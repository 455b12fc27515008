"""What is written out without validation is what validation would have let through."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import orjson
from asyncpg.pgproto import pgproto
from hypothesis import given
from hypothesis import strategies as st

from doable.core import differences
from doable.todos import events, shapes
from doable.todos.schemas import TodoResponse
from doable.todos.statements import TodoRow

IDS = st.uuids() | st.uuids().map(lambda id_: pgproto.UUID(id_.bytes))
INSTANTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(  # noqa: DTZ001 — the zone comes with the next line
    lambda naive: naive.replace(microsecond=naive.microsecond // 1000 * 1000, tzinfo=UTC)
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
DUE = st.tuples(
    st.dates().map(str), st.none() | st.just("14:30"), st.none() | st.just("Europe/Zagreb"), st.none() | INSTANTS
) | st.tuples(st.none(), st.none(), st.none(), st.none())
RULE = st.tuples(st.just("FREQ=WEEKLY"), st.sampled_from(["due", "completion"])) | st.tuples(st.none(), st.none())


@st.composite
def rows(draw: st.DrawFn) -> TodoRow:
    due_date, due_time, due_timezone, due_at = draw(DUE)
    rule, basis = draw(RULE)
    return TodoRow(
        id=draw(IDS), list_id=draw(IDS), parent_id=draw(st.none() | IDS), position=draw(st.just("a4")),
        title=draw(TEXTS), title_key="", description=draw(st.none() | TEXTS), priority=draw(st.integers(1, 5)),
        completed_at=draw(st.none() | INSTANTS), due_date=due_date, due_time=due_time, due_timezone=due_timezone,
        due_at=due_at, due_key=None, rule=rule, basis=basis, anchor=None, done=draw(st.integers(0, 9)),
        labels=draw(st.lists(TEXTS, max_size=3).map(lambda labels: orjson.dumps(labels).decode())),
        assignee_id=draw(st.none() | IDS), created_by=draw(IDS), created_at=draw(INSTANTS), updated_at=draw(INSTANTS),
        deleted_at=draw(st.none() | INSTANTS), deleted_with=None, version=draw(st.integers(1, 2**31 - 1)), role="owner",
    )  # fmt: skip


@given(rows())
def test_a_row_is_written_out_as_its_model_is(row: TodoRow) -> None:
    assert orjson.dumps(shapes.wire(row)) == shapes.shown(row).model_dump_json().encode()


@given(rows(), rows())
def test_the_event_of_an_edit_has_the_text_of_the_todo_in_it(one: TodoRow, other: TodoRow) -> None:
    before, after = (row._replace(deleted_at=None) for row in (one, other))
    told, written = events.edited(before, after)
    assert (told, written) == (events.changed(before, after), shapes.text(after))
    was, is_now = shapes.wire(before), shapes.wire(after)
    assert told.data.encode() == orjson.dumps({"todo": is_now, "changes": differences.between(was, is_now)})


def test_what_is_written_out_has_the_declared_members_in_their_order() -> None:
    instant = datetime(2026, 11, 22, 9, 41, 52, 123000, timezone(timedelta(hours=1)))
    id_ = UUID(int=7)
    row = TodoRow(
        id_, id_, None, "a4", "x", None, 3, None, None, None, None, None, None, None, 0, "[]", None, id_, instant,
        instant, None, 1, "x", None, None, None, "owner",
    )  # fmt: skip
    written = shapes.wire(row)
    assert list(written) == list(TodoResponse.model_fields)
    assert written["created_at"] == "2026-11-22T08:41:52.123Z"
