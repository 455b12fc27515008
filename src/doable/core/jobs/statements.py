"""What can be asked about jobs, and what becomes of them; all of it by the database's clock, which workers share."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Float,
    Integer,
    Text,
    bindparam,
    case,
    delete,
    func,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert  # SQLite's ON CONFLICT is the same text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from doable.core.jobs.tables import CANCELLED, DEAD, DONE, HELD, KEYED, RUNNING, WAITING, jobs
from doable.core.queries import Query, query, scalar
from doable.core.tables import Instant
from doable.core.telemetry import Depth


class _Later(FunctionElement[datetime]):
    """Some seconds from now."""

    inherit_cache = True
    type = Instant()


@compiles(_Later, "postgresql")
def _by_interval(element: _Later, compiler: SQLCompiler, **options: Any) -> str:
    return f"(now() + make_interval(secs => {compiler.process(element.clauses, **options)}))"


@compiles(_Later, "sqlite")
def _by_modifier(element: _Later, compiler: SQLCompiler, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    return f"strftime('%Y-%m-%dT%H:%M:%fZ', 'now', printf('%+.3f seconds', {seconds}))"


class _Earlier(FunctionElement[datetime]):
    """The first of two instants."""

    inherit_cache = True
    type = Instant()


@compiles(_Earlier, "postgresql")
def _by_least(element: _Earlier, compiler: SQLCompiler, **options: Any) -> str:
    return f"least({compiler.process(element.clauses, **options)})"


@compiles(_Earlier, "sqlite")
def _by_min(element: _Earlier, compiler: SQLCompiler, **options: Any) -> str:
    return f"min({compiler.process(element.clauses, **options)})"


NOW = _Later(literal_column("0"))
_LATER = _Later(bindparam("seconds", type_=Float()))


class Claimed(NamedTuple):
    """A job that is this worker's until its lease ends."""

    id: UUID
    name: str
    args: str
    attempts: int
    fence: int
    created_at: datetime


class Left(NamedTuple):
    """What a worker that has died was running."""

    id: UUID
    name: str
    attempts: int
    fence: int
    error: str | None


class JobRow(NamedTuple):
    id: UUID
    name: str
    queue: str
    state: str
    attempts: int
    key: str | None
    run_at: datetime
    created_at: datetime
    finished_at: datetime | None
    error: str | None


_GIVEN = ("id", "name", "queue", "args", "key")
_NEW = insert(jobs).from_select(
    [*_GIVEN, "run_at", "state", "attempts", "fence", "created_at"],
    select(
        *(bindparam(name, type_=jobs.c[name].type) for name in _GIVEN),
        func.coalesce(bindparam("at", type_=Instant()), NOW),
        literal(WAITING),
        literal(0),
        literal(0),
        NOW,
    ).where(bindparam("wanted", type_=Boolean())),
)
ENQUEUE = _NEW
ENQUEUE_ONCE = _NEW.on_conflict_do_update(
    index_elements=[jobs.c.id],
    set_={"state": WAITING, "args": _NEW.excluded.args, "run_at": NOW, "attempts": 0, "finished_at": None},
    where=jobs.c.finished_at.is_not(None),
)
ENQUEUE_KEYED = _NEW.on_conflict_do_update(
    index_elements=[jobs.c.key],
    index_where=KEYED,
    set_={"run_at": _Earlier(jobs.c.run_at, _NEW.excluded.run_at), "args": _NEW.excluded.args, "attempts": 0},
)
"""Locks the job that waits under this key already: nobody takes it before this transaction can be seen."""

_DUE = (
    jobs.c.finished_at.is_(None),
    jobs.c.queue == bindparam("of_queue"),
    jobs.c.run_at <= NOW,
    jobs.c.name.in_(bindparam("names", expanding=True)),  # not what a newer version has enqueued
    jobs.c.state.in_(bindparam("states", expanding=True)),  # what is due though it runs has lost its worker
)
FIRST_DUE: Query[str] = query(scalar, select(jobs.c.state).where(*_DUE).order_by(jobs.c.run_at).limit(1))


def _claim() -> Query[Claimed]:
    due = (
        select(jobs.c.id)
        .where(*_DUE)
        .order_by(jobs.c.run_at)
        .limit(bindparam("most", type_=Integer))
        .with_for_update(skip_locked=True)
        .cte("due")  # a subquery might be run again for each row, and lock more than `most`
    )
    taken = {
        "state": RUNNING,
        "run_at": _LATER,
        "attempts": jobs.c.attempts + 1,
        "fence": jobs.c.fence + 1,
        "worker": bindparam("mine", type_=Integer()),
    }
    statement = update(jobs).where(jobs.c.id.in_(select(due.c.id))).values(taken)
    return query(Claimed, statement.returning(*(jobs.c[name] for name in Claimed._fields)))


CLAIM = _claim()

_other = jobs.alias()
_NEWER_WAITS = select(_other.c.id).where(_other.c.key == jobs.c.key, _other.c.state == WAITING).exists()
_BACK = {
    "state": case((_NEWER_WAITS, DONE), else_=WAITING),
    "args": case((_NEWER_WAITS, ""), else_=jobs.c.args),
    "finished_at": case((_NEWER_WAITS, NOW), else_=None),
}
"""Waits again, under its key if it has one; what was enqueued under that meanwhile stands for it."""
_MINE = (
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"), jobs.c.fence == bindparam("held"), jobs.c.state == RUNNING)
    .values(error=bindparam("why"), worker=None)
)
"""Changes nothing when somebody else has taken the job meanwhile, or it was cancelled."""
FINISH = _MINE.values(state=DONE, args="", finished_at=NOW)
RETRY = _MINE.values(_BACK).values(run_at=_LATER)
BURY = _MINE.values(state=DEAD, finished_at=NOW)
BURY_SECRET = BURY.values(args="")
REARM = _MINE.values(state=WAITING, run_at=_LATER, attempts=0)
GIVE_BACK = (
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"), jobs.c.fence == bindparam("held"), jobs.c.state == RUNNING)
    .values(_BACK)
    .values(run_at=NOW, attempts=jobs.c.attempts - 1, worker=None)
)
HOLDERS: Query[int | None] = query(scalar, select(jobs.c.worker).where(HELD).distinct())
LEFT: Query[Left] = query(
    Left,
    select(*(jobs.c[name] for name in Left._fields)).where(HELD, jobs.c.worker.in_(bindparam("gone", expanding=True))),
)
INHERIT = (
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"), jobs.c.fence == bindparam("held"), HELD)
    .values(run_at=_LATER, error=bindparam("why"), worker=None)
)
"""It runs still, as far as anybody knows: who takes it takes an orphan."""

_COLUMNS = tuple(jobs.c[name] for name in JobRow._fields)
JOBS: Query[JobRow] = query(
    JobRow,
    select(*_COLUMNS)
    .where(jobs.c.state.in_(bindparam("states", expanding=True)))
    .order_by(jobs.c.created_at.desc(), jobs.c.id.desc())
    .limit(bindparam("most", type_=Integer)),
)
PENDING: Query[str] = query(
    scalar,
    select(jobs.c.args).where(
        jobs.c.finished_at.is_(None), jobs.c.queue == bindparam("of_queue"), jobs.c.name == bindparam("of_name")
    ),
)
JOB: Query[JobRow] = query(JobRow, select(*_COLUMNS).where(jobs.c.id == bindparam("job_id")))
REVIVE = (
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"), jobs.c.state.in_((DEAD, WAITING)), jobs.c.args != "")
    .values(state=WAITING, key=case((jobs.c.state == WAITING, jobs.c.key)), run_at=NOW, attempts=0, finished_at=None)
)
"""Not what has forgotten what it was given."""
CANCEL = (
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"), jobs.c.state.in_((DEAD, WAITING)))
    .values(state=CANCELLED, key=None, args="", finished_at=NOW)
)
CANCEL_QUEUE = (
    update(jobs)
    .where(jobs.c.finished_at.is_(None), jobs.c.queue == bindparam("of_queue"))
    .values(state=CANCELLED, key=None, args="", finished_at=NOW)
)
_PREFIX = bindparam("prefix", type_=Text())
CANCEL_GIVEN = (
    update(jobs)
    .where(
        jobs.c.finished_at.is_(None),
        jobs.c.queue == bindparam("of_queue"),
        func.substr(jobs.c.args, 1, func.length(_PREFIX)) == _PREFIX,
    )
    .values(state=CANCELLED, key=None, args="", finished_at=NOW)
)
FORGET = delete(jobs).where(
    jobs.c.id.in_(
        select(jobs.c.id)
        .where(jobs.c.finished_at < bindparam("before"), jobs.c.state.in_(bindparam("states", expanding=True)))
        .limit(bindparam("most", type_=Integer))
        .with_for_update(skip_locked=True)
    )
)


class _Age(FunctionElement[float]):
    """Seconds since an instant."""

    inherit_cache = True
    type = Float()


@compiles(_Age, "postgresql")
def _by_epoch(element: _Age, compiler: SQLCompiler, **options: Any) -> str:
    return f"EXTRACT(EPOCH FROM now() - {compiler.process(element.clauses, **options)})::float"


@compiles(_Age, "sqlite")
def _by_julian_day(element: _Age, compiler: SQLCompiler, **options: Any) -> str:
    return f"((julianday('now') - julianday({compiler.process(element.clauses, **options)})) * 86400.0)"


DEPTHS: Query[Depth] = query(
    Depth,
    select(
        jobs.c.queue,
        jobs.c.state,
        func.count().label("jobs"),
        _Age(func.min(jobs.c.run_at)).label("oldest"),
    )
    .where(jobs.c.state.in_((WAITING, RUNNING, DEAD)))
    .group_by(jobs.c.queue, jobs.c.state),
)
