"""Every statement of the application, found where it is kept, and parameters for it."""

import functools
import importlib
import pkgutil
import random
import string
import typing
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Insert, Table, Update
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.elements import ClauseElement

import doable
from doable.core.db import Database
from doable.core.pages import Listing
from doable.core.queries import Query
from doable.todos import shapes
from doable.todos.statements import SORTS, Filter, TodoRow

_FILTERS = (
    Filter(),
    Filter(list_id=True, parent="none", completed=True, priority=True),
    Filter(list_id=True, parent="one", completed=False, due_before=True, due_after=True),
    Filter(label=True, words=2),
)
_TODO = ({"title", "title_key"}, {"description", "priority", "completed_at"}, {"due_date", "due_at", "labels"})
_NO_YES = (False, True)
ARGUMENTS: dict[str, list[dict[str, Any]]] = {
    "update_list": [{"fields": frozenset({"name"})}, {"fields": frozenset({"name", "color", "archived_at"})}],
    "update_todo": [{"fields": frozenset(fields)} for fields in _TODO],
    "update_todos": [{"fields": frozenset(fields)} for fields in _TODO],
    "todos_by": [
        {"shape": shape, "chosen": chosen, "sort": sign + sort}
        for shape in (shapes.from_columns, TodoRow)
        for chosen in _FILTERS
        for sort in SORTS
        for sign in ("", "-")
    ],
    "neighbours": [
        {"top": top, "backwards": backwards, "anchored": anchored}
        for top in _NO_YES
        for backwards in _NO_YES
        for anchored in _NO_YES
    ],
    "todos_at": [{"depth": depth} for depth in (0, 1, 5)],
    "update_webhook": [{"fields": frozenset({"url"})}, {"fields": frozenset({"url", "kinds", "status"})}],
    "labels": [{"named": named} for named in _NO_YES],
    "siblings": [{"top": top} for top in _NO_YES],
    "sibling_at": [{"top": top} for top in _NO_YES],
}
"""Of each function that builds statements and keeps them."""
_BUILT = (Query, Listing, Executable)

type Both = tuple[Database, Database]
"""One by the native executor, and the same by the reference."""


class Kept(NamedTuple):
    """`question` is a `Query`, or a statement that answers nothing."""

    name: str
    question: Any

    @property
    def statement(self) -> Any:
        return self.question.statement if isinstance(self.question, Query) else self.question


def kept() -> list[Kept]:
    """Each once, wherever it is imported to."""
    found: dict[int, Kept] = {}
    for module in pkgutil.walk_packages(doable.__path__, "doable."):
        if not module.name.startswith("doable.migrations.") and not module.name.endswith("__main__"):
            for name, value in vars(importlib.import_module(module.name)).items():
                for one in _in(f"{module.name}.{name}", value):
                    found.setdefault(id(one.question), one)
    return list(found.values())


def _in(name: str, value: object) -> Iterator[Kept]:
    if isinstance(value, Listing):
        for part in ("first", "counted", "after", "total"):
            yield Kept(f"{name}.{part}", getattr(value, part))
    elif isinstance(value, Query) or (isinstance(value, Executable) and not isinstance(value, Table | ColumnElement)):
        yield Kept(name, value)
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _in(f"{name}[{key}]", one)
    elif isinstance(value, functools._lru_cache_wrapper) and _builds(value):
        assert value.__name__ in ARGUMENTS, f"{name} builds statements: with which arguments should they be tested?"
        for arguments in ARGUMENTS[value.__name__]:
            yield from _in(f"{name}({arguments})", value(**arguments))


def _builds(function: Any) -> bool:
    answer = typing.get_type_hints(function.__wrapped__).get("return")
    answer = typing.get_origin(answer) or answer
    return isinstance(answer, type) and issubclass(answer, _BUILT)


class Values:
    """Parameters: mostly values that the database has, of a column of the same name, sometimes others or nothing."""

    def __init__(self, rows: Mapping[Table, list[Any]], seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 — repeatable, not secret
        self._by_name: dict[str, list[Any]] = {}
        self._by_type: dict[type, list[Any]] = {}
        for table, values in rows.items():
            for row in values:
                for column, value in zip(table.c, row, strict=True):
                    if value is not None:
                        self._by_name.setdefault(column.name, []).append(value)
                        self._by_type.setdefault(column.type.python_type, []).append(value)

    def of(self, statement: Any, dialect: Dialect) -> dict[str, object]:
        return {
            name: self._list(name, bind.type) if bind.expanding else self._one(name, bind.type)
            for name, bind in _binds(statement, dialect).items()
        }

    def _list(self, name: str, kind: Any) -> list[object]:
        return [self._one(name, kind) for _ in range(self._random.randrange(4))]

    def _one(self, name: str, kind: Any) -> object:
        python_type = _python_type(kind)
        chance = self._random.random()
        if chance < 0.05:
            return None
        if name == "most":  # a negative LIMIT is refused by the plans that come to it
            return self._random.randrange(50)
        known = self._by_name.get(name.split("_", 1)[-1] if name.startswith(("new_", "after_")) else name)
        if known and chance < 0.7 and isinstance(known[0], python_type):
            return self._random.choice(known)
        if chance < 0.85 and python_type in self._by_type:
            return self._random.choice(self._by_type[python_type])
        return self._new(python_type)

    def _new(self, python_type: type) -> object:
        chance = self._random
        if python_type is UUID:
            return UUID(int=chance.getrandbits(128))
        if python_type is datetime:
            return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=chance.randrange(-(10**12), 10**12))
        if python_type is bool:
            return chance.random() < 0.5
        if python_type is int:
            return chance.choice((0, 1, 2, 50, -1, 2**31 - 1, 2**40, 2**70))
        if python_type is bytes:
            return chance.randbytes(chance.choice((0, 16, 32)))
        return "".join(chance.choices(string.printable + "äß…🎈", k=chance.randrange(30)))


@functools.cache
def _binds(statement: Any, dialect: Dialect) -> dict[str, Any]:
    """Those that want a value."""
    columns = statement.table.c.keys() if isinstance(statement, Insert) and statement.select is None else None
    compiled: Any = typing.cast("ClauseElement", statement).compile(dialect=dialect, column_keys=columns)
    return {
        name: bind
        for name, bind in compiled.binds.items()
        if bind.required or (isinstance(statement, Insert | Update) and not bind.unique and bind.value is None)
    }


def _python_type(kind: Any) -> type:
    try:
        found: type = kind.python_type
    except NotImplementedError:
        return int
    return found
