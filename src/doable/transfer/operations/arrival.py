"""What the elements of a file become: lists and todos of whoever has sent it, unless they are there already.

An id of the file is kept where it is free; else it is made from that id and whose it becomes, which is the same
whenever the file comes again.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from pydantic import BaseModel, ValidationError

from doable.accounts.access import Actor
from doable.core import streams
from doable.core.db import Transaction
from doable.core.errors import AppException
from doable.lists import statements as lists_statements
from doable.lists.access import WRITERS
from doable.lists.operations import creation as list_creation
from doable.lists.operations import editing as list_editing
from doable.lists.statements import VisibleList
from doable.todos import due as dues
from doable.todos.due import Due
from doable.todos.operations import copies
from doable.todos.operations.copies import Copy, OccurrenceCopy
from doable.todos.statements import copies as copies_statements
from doable.transfer import statements
from doable.transfer.operations.families import Families, Known
from doable.transfer.schemas import ImportFault, ListElement, OccurrenceElement, TodoElement


@dataclass
class Outcome:
    """What has become of a part. `inbox_id`: what the file calls its inbox, where it has said so."""

    created: int = 0
    present: int = 0
    refused: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)
    inbox_id: UUID | None = None

    def refuse(self, kind: str, source_id: object, message: str) -> None:
        self.refused += 1
        self.note(kind, source_id, message)

    def note(self, kind: str, source_id: object, message: str) -> None:
        named = source_id if isinstance(source_id, str | UUID) else None
        fault = ImportFault(kind=kind, id=None if named is None else str(named)[:36], message=message[:200])
        self.errors.append(fault.model_dump())


DECIDED = ("title", "description", "priority", "labels", "due", "recurrence")

type Write = Callable[[Transaction, Actor, UUID | None, Sequence[dict[str, Any]]], Awaitable[Outcome]]


async def lists(tx: Transaction, actor: Actor, inbox_id: UUID | None, elements: Sequence[dict[str, Any]]) -> Outcome:
    """The inbox of the file is the actor's own."""
    outcome = Outcome(inbox_id=inbox_id)
    for element in _valid(outcome, "lists", ListElement, elements):
        if element.is_inbox:
            outcome.inbox_id = element.id
            outcome.present += 1
        elif element.id in await _homes(tx, actor, None, {element.id}):
            outcome.present += 1
        else:
            await _create_list(tx, actor, element, outcome)
    return outcome


async def todos(tx: Transaction, actor: Actor, inbox_id: UUID | None, elements: Sequence[dict[str, Any]]) -> Outcome:
    """In the order of the file: whoever is above has to come first, or the todo comes to the top."""
    outcome = Outcome()
    arriving = _valid(outcome, "todos", TodoElement, elements)
    named = {element.list_id for element in arriving}
    places = await _homes(tx, actor, inbox_id, named)
    await streams.lock(tx, {place.list_id for place in places.values()})
    places = await _homes(tx, actor, inbox_id, named)  # under the lock roles stay as they are
    families = Families(await _known(tx, actor, _references(arriving)))
    await families.load(tx)
    homes: dict[UUID, list[Copy]] = {}
    for element in arriving:
        place = places.get(element.list_id)
        if families.known.target(element.id) is not None:
            outcome.present += 1
        elif place is None:
            outcome.refuse("todos", element.id, "The list that it is in is not in the file, or not here any more.")
        elif place.role not in WRITERS:
            outcome.refuse("todos", element.id, f"Your role in its list ({place.role}) does not allow this.")
        else:
            fault = families.join(element, place.list_id)
            if fault:
                outcome.note("todos", element.id, fault)
            homes.setdefault(place.list_id, []).append(_copy(element, families))
            outcome.created += 1
    if homes:
        await copies.write(tx, actor, homes)
    return outcome


async def occurrences(
    tx: Transaction, actor: Actor, _inbox_id: UUID | None, elements: Sequence[dict[str, Any]]
) -> Outcome:
    outcome = Outcome()
    arriving = _valid(outcome, "occurrences", OccurrenceElement, elements)
    known = await _known(tx, actor, {element.todo_id for element in arriving})
    await streams.lock(tx, {row.list_id for row in known.rows.values()})
    made = []
    for element in arriving:
        todo_id = known.target(element.todo_id)
        if todo_id is None:
            outcome.refuse("occurrences", element.todo_id, "The todo is not here.")
        else:
            made.append(_occurrence(element, todo_id))
    await copies.write_occurrences(tx, actor, made)
    return outcome


KINDS: Mapping[str, Write] = {"lists": lists, "todos": todos, "occurrences": occurrences}


def _valid[E: BaseModel](outcome: Outcome, kind: str, shape: type[E], elements: Iterable[dict[str, Any]]) -> list[E]:
    found = []
    for element in elements:
        try:
            if refusal := element.get("refused"):
                outcome.refuse(kind, element.get("id"), str(refusal))
            else:
                found.append(shape.model_validate(element))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            outcome.refuse(kind, element.get("id"), f"{where}: {first['msg']}")
    return found


async def _homes(
    tx: Transaction, actor: Actor, inbox_id: UUID | None, source_ids: Collection[UUID]
) -> dict[UUID, VisibleList]:
    """The lists that those of the file are here."""
    ids = {actor.inbox_id, *source_ids, *(_other(actor, source_id) for source_id in source_ids)}
    rows = await tx.all(lists_statements.VISIBLE, actor_id=actor.user_id, list_ids=sorted(ids))
    seen = {row.list_id: row for row in rows}
    found = {}
    for source_id in source_ids:
        row = seen.get(_other(actor, source_id)) or seen.get(source_id)
        row = seen.get(actor.inbox_id) if source_id == inbox_id else row
        if row is not None:
            found[source_id] = row
    return found


async def _create_list(tx: Transaction, actor: Actor, element: ListElement, outcome: Outcome) -> None:
    candidates = [element.id, _other(actor, element.id)]
    taken = await tx.all(statements.STREAMS, list_ids=candidates)
    list_id = next((candidate for candidate in candidates if candidate not in taken), None)
    if list_id is None:
        outcome.refuse("lists", element.id, "It is deleted; restore it, and send the file again.")
        return
    try:
        await list_creation.create(tx, actor, list_id, element.name, element.color)
    except AppException as error:  # nothing has failed in the database: the limit is looked at before
        outcome.refuse("lists", element.id, error.message)
        return
    if element.archived_at is not None:
        await list_editing.update(tx, actor, list_id, {"archived": element.archived_at})
    outcome.created += 1


async def _known(tx: Transaction, actor: Actor, source_ids: Collection[UUID]) -> Known:
    others = {source_id: _other(actor, source_id) for source_id in source_ids}
    purged = set(await tx.all(copies_statements.PURGED, todo_ids=sorted({*others, *others.values()})))
    while again := {source_id: _other(actor, other) for source_id, other in others.items() if other in purged}:
        others |= again
        purged |= set(await tx.all(copies_statements.PURGED, todo_ids=sorted(again.values())))
    return await Known.read(tx, actor, others, purged)


def _other(actor: Actor, source_id: UUID) -> UUID:
    return uuid5(actor.user_id, str(source_id))


def _references(arriving: Iterable[TodoElement]) -> set[UUID]:
    named = {reference for element in arriving for reference in (element.id, element.parent_id, element.deleted_with)}
    return {reference for reference in named if reference is not None}


def _copy(element: TodoElement, families: Families) -> Copy:
    """Its `id` and parent as they are here."""
    own = families.known.id_of(element.id)
    with_id = element.deleted_with and families.known.target(element.deleted_with)
    return Copy(
        id=own,
        parent_id=families.parents[own],
        wanted={name: getattr(element, name) for name in DECIDED},
        completed_at=element.completed_at,
        created_at=element.created_at,
        deleted_at=element.deleted_at,
        deleted_with=None if element.deleted_at is None else with_id or own,
        done=element.recurrence.done if element.recurrence else 0,
        anchor=element.anchor,
    )


def _occurrence(element: OccurrenceElement, todo_id: UUID) -> OccurrenceCopy:
    due = Due(element.due.date, element.due.time, element.due.timezone)
    time = None if due.time is None else due.time.isoformat("minutes")
    return OccurrenceCopy(
        todo_id, element.number, due.date.isoformat(), time, due.timezone, dues.instant(due), element.completed_at
    )
