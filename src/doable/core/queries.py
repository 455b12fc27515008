"""Statements that answer rows, each with the shape of a row, and what can be asked of a door of the database."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from inspect import signature
from typing import Any, NamedTuple, cast

from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.selectable import TypedReturnsRows


class Query[R]:
    """A statement that answers rows, together with the shape of a row."""

    __slots__ = ("by_key", "make", "statement")

    def __init__(self, make: Callable[[Any], R], statement: Executable, *, by_key: bool = False) -> None:
        self.make = make
        self.statement = statement
        self.by_key = by_key
        """It finds one row at most, and at once: an executor may look for several of them together."""


class Write(NamedTuple):
    """A statement that changes rows and answers none, with its parameters."""

    statement: Executable
    params: Mapping[str, object]


def query[*Ts, R](shape: Callable[[*Ts], R], statement: TypedReturnsRows[*Ts], *, by_key: bool = False) -> Query[R]:
    """Pair a statement with a NamedTuple or a function of its columns; for one column, any callable.

    A type checker compares the types of the first ten columns, this function the names of all; it raises `TypeError`.
    """
    columns = tuple(str(column.key) for column in statement.exported_columns)
    is_tuple = hasattr(shape, "_fields")
    if (is_tuple or len(columns) > 1) and (fields := names(shape)) != columns:
        message = f"{shape!r} has the fields {fields}, its statement the columns {columns}"
        raise TypeError(message)
    if is_tuple:  # as `_make`, but without counting: the names have been compared
        return Query(partial(tuple.__new__, cast("Any", shape)), cast("Executable", statement), by_key=by_key)
    return Query(lambda row: shape(*row), cast("Executable", statement), by_key=by_key)


def names(shape: Callable[..., object]) -> tuple[str, ...]:
    """The columns that it is made of: its fields or its parameters."""
    return getattr(shape, "_fields", None) or tuple(signature(shape).parameters)


def scalar[T](value: T) -> T:
    """The shape of a statement with one column."""
    return value


class Reader:
    """The reading half of a door: each method runs one statement; parameters are passed by name."""

    async def first[R](self, question: Query[R], /, **params: object) -> R | None:
        rows = await self._rows(question, params)
        return rows[0] if rows else None

    async def one[R](self, question: Query[R], /, **params: object) -> R:
        (row,) = await self._rows(question, params)
        return row

    async def all[R](self, question: Query[R], /, **params: object) -> list[R]:
        return await self._rows(question, params)

    def _rows[R](self, question: Query[R], params: Mapping[str, Any]) -> Awaitable[list[R]]:
        raise NotImplementedError
