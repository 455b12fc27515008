"""What can be asked about lists. Nothing here executes; permission is part of every statement."""

from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from doable.core.pages import Listing, Order, listing
from doable.core.queries import Query, query, scalar
from doable.core.streams import streams
from doable.lists.tables import lists, members


class ListRow(NamedTuple):
    """A list as one of its members sees it."""

    id: UUID
    name: str
    color: str | None
    is_inbox: bool
    owner_id: UUID
    role: str
    archived_at: datetime | None
    deleted_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int


class Home(NamedTuple):
    """A list as somebody sees it who would write in it."""

    list_id: UUID
    role: str
    revision: int
    followed: int | None


class VisibleList(NamedTuple):
    list_id: UUID
    role: str
    revision: int


def lists_of_actor() -> Select[*tuple[Any, ...]]:
    """Every list that `actor_id` is a member of, the deleted ones too."""
    columns = [members.c.role if name == "role" else lists.c[name] for name in ListRow._fields]
    return (
        select(*columns)
        .join_from(lists, members, members.c.list_id == lists.c.id)
        .where(members.c.user_id == bindparam("actor_id"))
    )


def has_role(list_id: ColumnElement[UUID] | ColumnElement[UUID | None], *roles: str) -> ColumnElement[bool]:
    """Whether `actor_id` has one of these roles."""
    return exists().where(
        members.c.list_id == list_id,
        members.c.user_id == bindparam("actor_id"),
        or_(*(members.c.role == role for role in roles)),  # IN could not be run for several rows at once
    )


def may_write_in(list_id: ColumnElement[UUID]) -> ColumnElement[bool]:
    """Whether the role of `actor_id` allows changes, in a list that is not deleted."""
    return and_(
        has_role(list_id, "owner", "editor"), exists().where(lists.c.id == list_id, lists.c.deleted_at.is_(None))
    )


LIST: Query[ListRow] = query(ListRow, lists_of_actor().where(lists.c.id == bindparam("list_id")))

HOME: Query[Home] = query(
    Home,
    select(lists.c.id.label("list_id"), members.c.role, streams.c.revision, streams.c.followed)
    .join_from(lists, members, members.c.list_id == lists.c.id)
    .join(streams, streams.c.id == lists.c.id)
    .where(
        lists.c.id == bindparam("list_id"), lists.c.deleted_at.is_(None), members.c.user_id == bindparam("actor_id")
    ),
    by_key=True,
)
VISIBLE: Query[VisibleList] = query(
    VisibleList,
    select(lists.c.id.label("list_id"), members.c.role, streams.c.revision)
    .join_from(lists, members, members.c.list_id == lists.c.id)
    .join(streams, streams.c.id == lists.c.id)
    .where(
        lists.c.id.in_(bindparam("list_ids", expanding=True)),
        lists.c.deleted_at.is_(None),
        members.c.user_id == bindparam("actor_id"),
    ),
)
"""Those of `list_ids` that `actor_id` may see, each with the revision of its stream."""

LISTS: dict[bool, Listing[ListRow]] = {
    archived: listing(
        "lists.archived" if archived else "lists",
        ListRow,
        lists_of_actor().where(
            lists.c.deleted_at.is_(None),
            lists.c.archived_at.is_not(None) if archived else lists.c.archived_at.is_(None),
        ),
        Order("is_inbox", lists.c.is_inbox, descending=True),
        Order("id", lists.c.id),
    )
    for archived in (False, True)
}

OWNED: Query[int] = query(
    scalar, select(func.count().label("owned")).select_from(lists).where(lists.c.owner_id == bindparam("actor_id"))
)
INSERT_LIST = insert(lists)
INSERT_MEMBER = insert(members)

DELETED: Query[UUID] = query(
    scalar, select(lists.c.id).where(lists.c.deleted_at < bindparam("before")).limit(bindparam("most", type_=Integer))
)
DELETED_ONE: Query[UUID] = query(
    scalar, select(lists.c.id).where(lists.c.id == bindparam("list_id"), lists.c.deleted_at < bindparam("before"))
)
DELETE_MEMBERS = delete(members).where(members.c.list_id == bindparam("list_id"))
DELETE_LIST = delete(lists).where(lists.c.id == bindparam("list_id"))


@cache
def update_list(fields: frozenset[str]) -> Query[int]:
    """Set `fields` (parameters `new_FIELD`), provided that the list is still as it was `seen` and may be written.

    Its deletion, the opposite and its owner are the owner's to decide.
    """
    roles = ("owner",) if fields & {"deleted_at", "owner_id"} else ("owner", "editor")
    changes = {field: bindparam(f"new_{field}", type_=lists.c[field].type) for field in fields}
    return query(
        scalar,
        update(lists)
        .where(lists.c.id == bindparam("list_id"), lists.c.version == bindparam("seen"), has_role(lists.c.id, *roles))
        .values(**changes, updated_at=bindparam("now"), version=lists.c.version + 1)
        .returning(lists.c.version),
    )
