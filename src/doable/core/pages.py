"""Pages: a statement with an order becomes pages by number (with a total) or by cursor (at any depth, at one price)."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, NamedTuple, cast
from uuid import UUID

import orjson
from pydantic import Field
from sqlalchemy import ColumnElement, Integer, Select, and_, bindparam, func, literal, or_, select

from doable.core import clock
from doable.core.errors import AppException, Code
from doable.core.queries import Query, Reader, names, query, scalar
from doable.core.types import Output

DEFAULT_SIZE = 20
MAX_SIZE = 200
COUNTED = 10_000
"""Totals are exact up to here and unknown beyond, so that no page costs more than this many index entries."""
_TAG_BYTES = 8


class Page[T](Output):
    items: list[T]
    page: Annotated[int | None, Field(description="Null after a cursor.", examples=[1])]
    size: Annotated[int, Field(examples=[DEFAULT_SIZE])]
    total: Annotated[int | None, Field(description=f"Null after a cursor, and beyond {COUNTED}.", examples=[1])]
    next_cursor: Annotated[str | None, Field(description="Null on the last page.", examples=[None])]


class PageRequest(NamedTuple):
    """Which page: `page` counts from 1; a `cursor` instead of it continues where another page ended."""

    size: int = DEFAULT_SIZE
    page: int = 1
    cursor: str | None = None


class Cursors:
    """Makes and reads cursors. They carry a tag, so that a client can neither make nor bend one."""

    def __init__(self, key: bytes) -> None:
        self._key = hmac.digest(key, b"cursors", hashlib.sha256)

    def write(self, kind: str, values: list[object]) -> str:
        body = orjson.dumps(values, default=str)
        return base64.urlsafe_b64encode(self._tag(kind, body) + body).rstrip(b"=").decode()

    def read(self, kind: str, cursor: str) -> list[Any]:
        """Raises `INVALID_CURSOR` for what `write` did not make for this `kind`."""
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        tag, body = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(kind, body)):
            raise AppException(Code.INVALID_CURSOR, "This cursor does not belong to this listing and order.")
        return cast("list[Any]", orjson.loads(body))

    def _tag(self, kind: str, body: bytes) -> bytes:
        # Keyed BLAKE2 is a MAC by itself, and a tenth of the price of HMAC with OpenSSL.
        return hashlib.blake2b(kind.encode() + b"\0" + body, digest_size=_TAG_BYTES, key=self._key).digest()


class Order(NamedTuple):
    """A column and its direction; its label in the statement is `name`.

    Where it can be null, `missing` stands for that: a value beyond all others in this direction.
    """

    name: str
    column: ColumnElement[Any]
    descending: bool = False
    missing: object = None

    @property
    def key(self) -> ColumnElement[Any]:
        """What is compared; never null."""
        if self.missing is None:
            return self.column
        return func.coalesce(self.column, literal(self.missing, self.column.type))


@dataclass(frozen=True, slots=True)
class Listing[R]:
    """A statement that can be read page by page. The last order has to be unique."""

    kind: str
    orders: tuple[Order, ...]
    first: Query[R]
    counted: Query[Sequence[Any]]
    """The same, not made yet, then what rows are ordered by without showing it, and how many there are in all."""
    after: Query[Sequence[Any]]
    total: Query[int]
    width: int
    """How many columns of a row are shown: the first ones."""
    places: tuple[int, ...]
    """Where the values of the orders are."""

    async def page[T](
        self, reads: Reader, request: PageRequest, cursors: Cursors, show: Callable[[R], T], **params: object
    ) -> Page[T]:
        """One statement, and a second one only beyond the last page. Raises `INVALID_CURSOR`."""
        fields = await self.fields(reads, request, cursors, **params)
        return Page(**{**fields, "items": [show(row) for row in fields["items"]]})

    async def fields(self, reads: Reader, request: PageRequest, cursors: Cursors, **params: object) -> dict[str, Any]:
        """Of a `Page` of what `shape` makes of rows, for who writes them out without a look."""
        if request.cursor is None:
            rows, counted = await self._numbered(reads, request, params)
        else:
            after = self._position(cursors.read(self.kind, request.cursor))
            rows = await reads.all(self.after, page_size=request.size + 1, **after, **params)
            counted = COUNTED + 1
        items = rows[: request.size]
        more = len(rows) > request.size
        make, width = self.first.make, self.width
        return {
            "items": [make(row[:width]) for row in items],
            "page": request.page if request.cursor is None else None,
            "size": request.size,
            "total": counted if counted <= COUNTED else None,
            "next_cursor": cursors.write(self.kind, self._values(items[-1])) if more else None,
        }

    async def _numbered(
        self, reads: Reader, request: PageRequest, params: Mapping[str, object]
    ) -> tuple[Sequence[Sequence[Any]], int]:
        """The rows from a page on, one more than it has; how many there are in all."""
        offset = (request.page - 1) * request.size
        found = await reads.all(self.counted, page_size=request.size + 1, page_offset=offset, **params)
        if found:
            return found, found[0][-1]
        return (), await reads.one(self.total, **params) if offset else 0

    def _values(self, row: Sequence[Any]) -> list[object]:
        values = [row[place] for place in self.places]
        values = [order.missing if value is None else value for order, value in zip(self.orders, values, strict=True)]
        return [clock.iso(value) if isinstance(value, datetime) else value for value in values]

    def _position(self, values: list[Any]) -> dict[str, object]:
        return {f"after_{order.name}": _typed(order, value) for order, value in zip(self.orders, values, strict=True)}


def listing[R](kind: str, shape: Callable[..., R], statement: Select[*tuple[Any, ...]], *orders: Order) -> Listing[R]:
    """Make the statements of a listing from one without order; its own parameters are passed to `page` by name."""
    made = names(shape)
    hidden = {order.name: order.column.label(order.name) for order in orders if order.name not in made}
    columns = [*made, *hidden]
    ordered = statement.order_by(*(o.key.desc() if o.descending else o.key.asc() for o in orders))
    ordered = ordered.limit(bindparam("page_size", type_=Integer))
    numbered = ordered.offset(bindparam("page_offset", type_=Integer))
    counted = statement.with_only_columns(literal(1).label("one")).limit(COUNTED + 1).subquery()
    total = select(func.count().label("total")).select_from(counted)
    return Listing(
        kind,
        orders,
        query(cast("Any", shape), numbered),
        Query(_raw, numbered.add_columns(*hidden.values(), total.scalar_subquery())),
        Query(_raw, ordered.where(_beyond(orders)).add_columns(*hidden.values())),
        query(scalar, total),
        len(made),
        tuple(columns.index(order.name) for order in orders),
    )


def _raw(row: Sequence[Any]) -> Sequence[Any]:
    return row


def _beyond(orders: tuple[Order, ...]) -> ColumnElement[bool]:
    """Rows after a position: `a >= x AND (a > x OR (a = x AND b > y))`.

    A row value could not mix directions; the first condition says nothing new, but is what an index can seek.
    """
    order, *rest = orders
    bound = bindparam(f"after_{order.name}", type_=order.column.type)
    key = order.key
    further = key < bound if order.descending else key > bound
    if not rest:
        return further
    from_there = key <= bound if order.descending else key >= bound
    return and_(from_there, or_(further, and_(key == bound, _beyond(tuple(rest)))))


def _typed(order: Order, value: Any) -> object:
    kind = order.column.type.python_type
    if kind is UUID:
        return UUID(value)
    return datetime.fromisoformat(value) if kind is datetime else value
