"""What a client's copies lack: for each list the events since its revision, or the list as a whole.

Nothing is kept between calls: the client says where it is, and a snapshot that is under way travels with it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from doable.accounts.access import Actor
from doable.core import events as log
from doable.core import failpoints
from doable.core.errors import AppException
from doable.core.queries import Reader
from doable.lists import shapes as lists_shapes
from doable.sync import statements
from doable.sync.statements import Positioned
from doable.todos import shapes as todos_shapes

MOST_ITEMS = 500
MOST_BYTES = 256_000
SHELL = 250
"""Bytes that an answer has beside its deltas, and a delta beside what it is made of, at most."""
BEFORE_ALL = UUID(int=0)


class Snapshot(NamedTuple):
    """A snapshot that has begun: where the list was then, and the last todo that was told."""

    list_id: UUID
    revision: int
    after: UUID = BEFORE_ALL


class Answer:
    """Deltas as JSON, and how much more there is room for.

    The first delta has always room, with one item at least: so every call gets on.
    """

    def __init__(self) -> None:
        self.deltas: list[orjson.Fragment] = []
        self.snapshot: Snapshot | None = None
        self.complete = True
        self._items = MOST_ITEMS
        self._bytes = MOST_BYTES - SHELL

    @property
    def room(self) -> int:
        """How many events or todos more."""
        return max(self._items, 0)

    def admits(self, beside: int = 0) -> bool:
        """Whether there is room for a delta that has so many bytes beside its items."""
        return not self.deltas or (self._items > 0 and SHELL + beside <= self._bytes)

    def fitting(self, rows: list[bytes], beside: int = 0) -> list[bytes]:
        """The first of these that there is room for in a delta that has so many bytes beside them."""
        size, count = SHELL + beside, 0
        for row in rows[: self._items]:
            size += len(row) + 1
            if size > self._bytes and (count or self.deltas):
                break
            count += 1
        return rows[:count]

    def add(self, delta: dict[str, Any], items: int = 1) -> None:
        fragment = orjson.dumps(delta, default=str)
        self.deltas.append(orjson.Fragment(fragment))
        self._items -= max(items, 1)
        self._bytes -= len(fragment) + 1


async def since(reader: Reader, actor: Actor, known: Mapping[UUID, int | None], begun: Snapshot | None) -> Answer:
    """What the copies of `known` revisions lack, first what is left of a snapshot. `reader` sees one instant.

    A revision is `None` where there is a copy that is worth nothing.
    """
    visible = {home.row.id: home for home in await reader.all(statements.LISTS, actor_id=actor.user_id)}
    await failpoints.reach("sync.positions_read")
    answer = Answer()
    _tell_gone(answer, sorted({*known, *([begun.list_id] if begun else ())} - visible.keys()))
    if begun and begun.list_id in visible:
        await _snapshot(answer, reader, actor, visible.pop(begun.list_id), begun)
    for list_id, home in visible.items():
        revision = known.get(list_id)
        if revision == home.revision:
            continue
        if not (answer.complete and answer.admits()):
            answer.complete = False
            break
        if revision is None or not await _events(answer, reader, home, revision):
            await _snapshot(answer, reader, actor, home, Snapshot(list_id, home.revision))
    return answer


def _tell_gone(answer: Answer, list_ids: list[UUID]) -> None:
    for list_id in list_ids:
        if not answer.admits():
            answer.complete = False
            return
        answer.add({"list_id": list_id, "mode": "gone"})


async def _events(answer: Answer, reader: Reader, home: Positioned, known: int) -> bool:
    """False where the log does not reach back so far."""
    try:
        rows = await log.since(reader, home.row.id, known, home.revision, answer.room)
    except AppException:
        return False
    told = answer.fitting([orjson.dumps(lists_shapes.event(row)) for row in rows])
    if not told:
        answer.complete = False
        return True
    revision = rows[len(told) - 1].revision
    delta = {"list_id": home.row.id, "mode": "events", "revision": revision, "events": _fragments(told)}
    answer.add(delta, len(told))
    if revision < home.revision:
        answer.complete = False
    return True


async def _snapshot(answer: Answer, reader: Reader, actor: Actor, home: Positioned, begun: Snapshot) -> None:
    """One page of it; none, for the next call, where there is no room for the list, its members and one todo."""
    list_id, revision, after = begun
    whose = {"actor_id": actor.user_id, "list_id": list_id}
    members = await reader.all(statements.MEMBERS, **whose)
    head = {
        "list": orjson.Fragment(lists_shapes.shown(home.row).model_dump_json()),
        "members": [orjson.Fragment(lists_shapes.member(*row).model_dump_json()) for row in members],
    }
    beside, most = len(orjson.dumps(head)), answer.room
    rows = await reader.all(statements.TODOS, **whose, after=after, most=most + 1)
    told = answer.fitting([orjson.dumps(todos_shapes.wire(row)) for row in rows[:most]], beside)
    last = len(told) == len(rows)
    if not told and not (last and answer.admits(beside)):
        answer.snapshot, answer.complete = begun, False
        return
    if not last:
        answer.snapshot, answer.complete = begun._replace(after=rows[len(told) - 1].id), False
    page = {"revision": revision, "first": after == BEFORE_ALL, "last": last, **head, "todos": _fragments(told)}
    answer.add({"list_id": list_id, "mode": "snapshot", **page}, len(told))


def _fragments(told: list[bytes]) -> list[orjson.Fragment]:
    return [orjson.Fragment(one) for one in told]
