"""Statements compiled once: the SQL text, the order of its arguments, and how the driver's values become ours."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, cast

from sqlalchemy import Float
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import BindParameter, ClauseElement

from doable.core.executors.executor import Params

MOST = 2000
"""Plans kept. Statements are constants or come from cached functions, so this bounds only those built on each call."""
MOST_LENGTHS = 200
"""Texts kept of a statement with lists: one for each length."""

type Process = Callable[[Any], Any]
type Results = Sequence[Process | None]


class _Slot(NamedTuple):
    """An argument: a parameter that is given with each call, or a constant of the statement, processed already."""

    name: str
    given: bool
    process: Process | None
    constant: Any = None


class _Text(NamedTuple):
    """SQL in which lists have certain lengths; for each argument its name and, in a list, its place there."""

    sql: str
    order: Sequence[tuple[str, int | None]]


class Plan:
    """One statement, ready to be run."""

    def __init__(self, sql: str, slots: Sequence[_Slot], defaults: Params, results: Results) -> None:
        self._sql = sql
        self._slots = slots
        self._defaults = defaults
        self._results = [(place, process) for place, process in enumerate(results) if process is not None]
        self._pick = _picker([slot.name for slot in slots if slot.given])
        self._constants = [(place, slot.constant) for place, slot in enumerate(slots) if not slot.given]
        self._processes = [(place, slot.process) for place, slot in enumerate(slots) if slot.process is not None]

    def bind(self, params: Params) -> tuple[str, Sequence[Any]]:
        """The text and its arguments. Raises `TypeError` where a parameter is missing."""
        if self._defaults:
            params = {**self._defaults, **params}
        try:
            return self._bind(params)
        except KeyError as error:
            raise TypeError(f"the statement needs a parameter {error}") from None

    def shape[R](self, make: Callable[[Any], R], rows: Iterable[Any]) -> list[R]:
        """The driver's rows as ours."""
        if not self._results:
            return list(map(make, rows))
        return [make(self._convert(row)) for row in rows]

    def _bind(self, params: Params) -> tuple[str, Sequence[Any]]:
        args = list(self._pick(params))
        for place, constant in self._constants:
            args.insert(place, constant)
        for place, process in self._processes:
            args[place] = process(args[place])
        return self._sql, args

    def _convert(self, row: Iterable[Any]) -> list[Any]:
        values = list(row)
        for place, process in self._results:
            values[place] = process(values[place])
        return values


class _PlanWithLists(Plan):
    """Its text depends on the lengths of parameters that are lists."""

    def __init__(
        self, compiled: SQLCompiler, lists: Sequence[str], slots: Sequence[_Slot], defaults: Params, results: Results
    ) -> None:
        super().__init__("", slots, defaults, results)
        self._compiled = compiled
        self._lists = lists
        self._texts: dict[tuple[int, ...], _Text] = {}

    def _bind(self, params: Params) -> tuple[str, Sequence[Any]]:
        values = {slot.name: self._value(slot, params) for slot in self._slots}
        lengths = tuple(len(values[name]) for name in self._lists)
        text = self._texts.get(lengths)
        if text is None:
            if len(self._texts) >= MOST_LENGTHS:
                self._texts.clear()
            text = self._texts[lengths] = _text(self._compiled, params)
        return text.sql, [values[name] if place is None else values[name][place] for name, place in text.order]

    def _value(self, slot: _Slot, params: Params) -> Any:
        name, given, process, constant = slot
        if not given:
            return constant
        return _processed(process, params[name], is_list=name in self._lists)


class Plans:
    """Of one dialect: by statement and, for what writes, by the names of the parameters, which decide on columns."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._plans: dict[tuple[object, ...], Plan] = {}

    def of_rows(self, statement: Executable, params: Params) -> Plan:
        """For a statement that answers rows."""
        key = (statement, *params) if statement.is_dml else (statement,)
        return self._plans.get(key) or self._keep(key, self._compile(statement, params, rows=True))

    def of_change(self, statement: Executable, params: Params) -> Plan:
        """For a statement whose rows, if it answers any, nobody wants."""
        key = (statement, None, *params)
        return self._plans.get(key) or self._keep(key, self._compile(statement, params, rows=False))

    def _keep(self, key: tuple[object, ...], plan: Plan) -> Plan:
        if len(self._plans) >= MOST:
            self._plans.clear()
        self._plans[key] = plan
        return plan

    def _compile(self, statement: Executable, params: Params, *, rows: bool) -> Plan:
        # Told that there are many sets of parameters, SQLAlchemy does not ask for generated keys in RETURNING.
        compiled = cast(
            "SQLCompiler",
            cast("ClauseElement", statement).compile(
                dialect=self.dialect, column_keys=sorted(params), for_executemany=not rows
            ),
        )
        if compiled.insert_prefetch or compiled.update_prefetch or compiled.literal_execute_params:
            raise TypeError(f"values that SQLAlchemy makes while it executes are not supported: {compiled}")
        names = compiled.positiontup or ()
        lists = {compiled.bind_names[bind] for bind in compiled.post_compile_params}
        given = {name for name in lists if not self._is_constant(compiled.binds[name], statement, params)}
        slots = {}
        defaults = {}
        for name in names:
            bind = compiled.binds[name]
            process = bind.type.dialect_impl(self.dialect).bind_processor(self.dialect)
            if self._is_constant(bind, statement, params):
                value = _processed(process, bind.effective_value, is_list=name in lists)
                slots[name] = _Slot(name, given=False, process=None, constant=value)
            else:
                slots[name] = _Slot(name, given=True, process=process)
                if not bind.required:
                    defaults[name] = bind.effective_value
        results = list(self._results(statement)) if rows else []
        if given:
            return _PlanWithLists(compiled, sorted(lists), list(slots.values()), defaults, results)
        text = _text(compiled, {}) if lists else _Text(compiled.string, [(name, None) for name in names])
        ordered = [slots[name] if place is None else _element(slots[name], place) for name, place in text.order]
        return Plan(text.sql, ordered, defaults, results)

    @staticmethod
    def _is_constant(bind: BindParameter[Any], statement: Executable, params: Params) -> bool:
        """Whether a value is part of the statement; a named one may be given all the same, in a write as a column."""
        return not bind.required and (bind.unique or (statement.is_dml and bind.key not in params))

    def _results(self, statement: Executable) -> Iterator[Process | None]:
        for column in getattr(statement, "exported_columns", ()):
            if isinstance(column.type, Float):  # SQLAlchemy asks the driver for the column's type first
                yield _float
            else:
                yield column.type.dialect_impl(self.dialect).result_processor(self.dialect, None)


def _picker(names: Sequence[str]) -> Callable[[Params], Iterable[Any]]:
    """The values of these names, in their order."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda params: [params[name] for name in names]


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def _processed(process: Process | None, value: Any, *, is_list: bool) -> Any:
    if is_list:
        return value if process is None else list(map(process, value))
    return value if process is None else process(value)


def _element(slot: _Slot, place: int) -> _Slot:
    return slot._replace(constant=slot.constant[place])


def _text(compiled: SQLCompiler, params: Params) -> _Text:
    """Only the lengths of the lists matter here."""
    required = {name: params.get(name) for name, bind in compiled.binds.items() if bind.required}
    state = compiled.construct_expanded_state({**params, **required})
    origins = {
        name: (origin, place)
        for origin, expanded in state.parameter_expansion.items()
        for place, name in enumerate(expanded)
    }
    return _Text(state.statement, [origins.get(name, (name, None)) for name in state.positiontup or ()])
