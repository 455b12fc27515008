"""Which todos of a file are here already, and where those that are not find their place."""

from collections.abc import Collection, Mapping
from typing import Self
from uuid import UUID

from doable.accounts.access import Actor
from doable.core.db import Transaction
from doable.todos.operations import trees
from doable.todos.statements import TodoRow, copies
from doable.todos.statements import trees as statements_of_trees
from doable.todos.statements.copies import Place
from doable.transfer.schemas import TodoElement


class Known:
    """What ids of a file are here. `rows`: the todos that the actor sees."""

    def __init__(self, others: Mapping[UUID, UUID], rows: Mapping[UUID, TodoRow], taken: set[UUID]) -> None:
        self.rows = rows
        self._others = others
        self._taken = taken
        self._made: dict[UUID, UUID] = {}

    @classmethod
    async def read(cls, tx: Transaction, actor: Actor, others: Mapping[UUID, UUID], purged: Collection[UUID]) -> Self:
        """`others`: what else each id of the file may be here; `purged`: those of all that nothing is any more."""
        ids = sorted({*others, *others.values()})
        rows = await tx.all(statements_of_trees.SOME, actor_id=actor.user_id, todo_ids=ids)
        taken = {*await tx.all(copies.TAKEN, todo_ids=ids), *purged}
        return cls(others, {row.id: row for row in rows}, taken)

    def target(self, source_id: UUID) -> UUID | None:
        """What a todo of the file is here, if it is: first by the id that was made for it."""
        other = self._others[source_id]
        if other in self._taken:
            return other
        return source_id if source_id in self.rows else self._made.get(source_id)

    def id_of(self, source_id: UUID) -> UUID:
        """The same, or what it will be."""
        target = self.target(source_id)
        if target is None:
            target = self._made[source_id] = self._others[source_id] if source_id in self._taken else source_id
        return target


class Families:
    """The trees that todos come into, with those that come."""

    def __init__(self, known: Known) -> None:
        self.known = known
        self.parents: dict[UUID, UUID | None] = {}
        self._places: dict[UUID, Place] = {}
        self._sizes: dict[UUID, int] = {}
        self._homes: dict[UUID, UUID] = {row.id: row.list_id for row in known.rows.values()}
        self._trashed = {row.id for row in known.rows.values() if row.deleted_at is not None}

    async def load(self, tx: Transaction) -> None:
        """Where those are that are here already."""
        for place in await tx.all(copies.PLACES, todo_ids=sorted(self._homes)):
            self._places[place.todo_id] = place
            self._sizes[place.top_id] = place.size

    def join(self, element: TodoElement, list_id: UUID) -> str | None:
        """Let a todo come in below its parent, or to the top where that cannot be, and say why."""
        parent_id = element.parent_id and self.known.target(element.parent_id)
        own = self.known.id_of(element.id)
        fault = self._fault(element, parent_id, list_id)
        above = None if parent_id is None or fault else self._places[parent_id]
        self.parents[own] = None if above is None else parent_id
        self._homes[own] = list_id
        if above is None:
            self._places[own] = Place(own, own, 0, 0)
            self._sizes[own] = 0
        else:
            self._places[own] = above._replace(todo_id=own, depth=above.depth + 1)
            self._sizes[above.top_id] += element.deleted_at is None
        if element.deleted_at is not None:
            self._trashed.add(own)
        return fault and f"It came to the top: {fault}"

    def _fault(self, element: TodoElement, parent_id: UUID | None, list_id: UUID) -> str | None:
        if element.parent_id is None:
            return None
        if parent_id is None or self._homes.get(parent_id) != list_id or parent_id not in self._places:
            return "the todo above does not come before it in the file, or is not in this list."
        if parent_id in self._trashed and element.deleted_at is None:
            return "the todo above is in the trash."
        if self._places[parent_id].depth >= trees.DEEPEST:
            return f"subtasks may be {trees.DEEPEST} levels deep at most."
        if self._sizes[self._places[parent_id].top_id] >= trees.MOST:
            return f"a todo may have {trees.MOST} subtasks at most."
        return None
