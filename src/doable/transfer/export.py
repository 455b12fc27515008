"""A person's lists as a file, page by page: nothing is held while its reader reads."""

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import orjson

from doable.accounts.access import Actor
from doable.core import clock
from doable.core.queries import Reader
from doable.lists import shapes as lists_shapes
from doable.lists.statements import ListRow
from doable.todos.statements import TodoRow
from doable.transfer import shapes, spreadsheet, statements
from doable.transfer.schemas import FORMAT, VERSION
from doable.transfer.statements import HistoryRow

PAGE = 200
BEFORE_ALL = UUID(int=0)


async def homes(reader: Reader, actor: Actor) -> list[ListRow]:
    """All lists that the actor sees, the archived ones too."""
    return await reader.all(statements.LISTS, actor_id=actor.user_id)


async def document(reader: Reader, actor: Actor, lists: Sequence[ListRow]) -> AsyncIterator[bytes]:
    """`TransferFile` as JSON; docs/export.md says what is in it."""
    head = {"format": FORMAT, "version": VERSION, "exported_at": clock.iso(clock.now())}
    shown = b",\n".join(lists_shapes.shown(row).model_dump_json().encode() for row in lists)
    yield orjson.dumps(head).removesuffix(b"}") + b',\n"lists":[\n' + shown + b'\n],\n"todos":[\n'
    between = b""
    for home in lists:
        async for rows in _todos(reader, actor, home.id):
            yield between + b",\n".join(shapes.todo(row).model_dump_json().encode() for row in rows)
            between = b",\n"
    yield b'\n],\n"occurrences":[\n'
    between = b""
    for home in lists:
        async for history in _occurrences(reader, actor, home.id):
            yield between + b",\n".join(shapes.occurrence(row).model_dump_json().encode() for row in history)
            between = b",\n"
    yield b"\n]}\n"


async def table(reader: Reader, actor: Actor, lists: Sequence[ListRow]) -> AsyncIterator[bytes]:
    """CSV, one todo a row."""
    yield spreadsheet.head()
    for home in lists:
        async for rows in _todos(reader, actor, home.id):
            yield spreadsheet.rows(home.name, rows)


async def _todos(reader: Reader, actor: Actor, list_id: UUID) -> AsyncIterator[list[TodoRow]]:
    """From the top down; where a level is empty, so are those below it."""
    depth = 0
    rows = await _page(reader, actor, list_id, depth)
    while rows:
        while rows:
            yield rows
            rows = await _page(reader, actor, list_id, depth, rows[-1]) if len(rows) == PAGE else []
        depth += 1
        rows = await _page(reader, actor, list_id, depth)


async def _page(reader: Reader, actor: Actor, list_id: UUID, depth: int, last: TodoRow | None = None) -> list[TodoRow]:
    position, todo_id = ("", BEFORE_ALL) if last is None else (last.position, last.id)
    return await reader.all(
        statements.todos_at(depth),
        actor_id=actor.user_id,
        list_id=list_id,
        after_position=position,
        after_id=todo_id,
        most=PAGE,
    )


async def _occurrences(reader: Reader, actor: Actor, list_id: UUID) -> AsyncIterator[list[HistoryRow]]:
    last, number = BEFORE_ALL, 0
    while rows := await reader.all(
        statements.OCCURRENCES,
        actor_id=actor.user_id,
        list_id=list_id,
        after_id=last,
        after_number=number,
        most=PAGE,
    ):
        yield rows
        if len(rows) < PAGE:
            return
        last, number = rows[-1].todo_id, rows[-1].row.number
