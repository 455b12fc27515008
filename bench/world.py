"""A database to measure on: people, each with a session and an inbox full of todos, written past the API.

The log begins after them.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from itertools import chain
from typing import NamedTuple
from uuid import UUID

import asyncpg
from sqlalchemy import Table

from bench.processes import CLIENT_CORE, family
from doable import migrations
from doable.accounts.access import Actor
from doable.accounts.tables import sessions, users
from doable.core import clock, ids
from doable.core.passwords import Hasher
from doable.core.streams import streams
from doable.core.tokens import AccessTokens
from doable.lists.tables import lists, members
from doable.todos import fields, ordering
from doable.todos.due import Due
from doable.todos.operations import creation
from doable.todos.tables import todos
from tests.support import configuration
from tests.support.people import PASSWORD
from tests.support.postgres import Postgres

LIFETIME = timedelta(days=1)
_TABLES = (users, lists, members, streams, sessions, todos)
_CONFIGURATION = "shared_buffers = 512MB\nmax_wal_size = 4GB\n"
_AT_ONCE = 100_000  # todos

type Rows = dict[str, list[dict[str, object]]]


class Person(NamedTuple):
    user_id: UUID
    username: str
    inbox_id: UUID
    token: str
    todo_ids: Sequence[UUID]


@contextmanager
def postgres() -> Iterator[Postgres]:
    """One server for all, on the core of those who ask. Nothing waits for its disk."""
    server = Postgres()
    with (server.data / "postgresql.auto.conf").open("a") as configuration_file:
        configuration_file.write(_CONFIGURATION)
    with server:
        for pid in family(server.pid):  # what they start stays there, too
            os.sched_setaffinity(pid, {CLIENT_CORE})
        yield server


async def prepare(url: str, people: int, todos_each: int) -> list[Person]:
    """Migrate and fill a database."""
    await migrations.migrate(url)
    made = await fill(url, people, todos_each)
    await settle(url)
    return made


async def fill(url: str, people: int, todos_each: int) -> list[Person]:
    """More people, all with one password."""
    hasher = Hasher()
    password_hash = await hasher.hash(PASSWORD)
    hasher.close()
    made: list[Person] = []
    while len(made) < people:
        rows: Rows = {table.name: [] for table in _TABLES}
        count = min(people - len(made), max(1, _AT_ONCE // max(1, todos_each)))
        made += [_person(rows, password_hash, todos_each) for _ in range(count)]
        await _write(url, rows)
    return made


async def settle(url: str) -> None:
    """As after a while of use: statistics, and pages that are known to be visible to all."""
    if url.startswith("postgresql"):
        connection = await asyncpg.connect(url)
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
        await connection.close()


async def multiply(url: str, person: Person, others: Sequence[Person]) -> None:
    """Give each of the others a copy of a person's todos, by one statement of PostgreSQL.

    Without the triggers: what they are found by is left out, or it would take minutes.
    """
    columns = ", ".join(column.name for column in todos.c)
    copied = ", ".join(
        {"id": "gen_random_uuid()", "list_id": "home"}.get(column.name, column.name) for column in todos.c
    )
    connection = await asyncpg.connect(url)
    await connection.execute("SET session_replication_role = replica")
    await connection.execute(
        f"INSERT INTO todos ({columns}) SELECT {copied} FROM todos CROSS JOIN unnest($1::uuid[]) AS home "  # noqa: S608
        "WHERE list_id = $2",
        [other.inbox_id for other in others],
        person.inbox_id,
        timeout=600,
    )
    await connection.close()


def _person(rows: Rows, password_hash: str, todos_each: int) -> Person:
    now = clock.now()
    user_id, inbox_id, session_id = (ids.new_id() for _ in range(3))
    username = f"u{user_id.hex}"
    actor = Actor(user_id, username, is_admin=False, timezone="UTC", inbox_id=inbox_id, session_id=session_id,
                  token_id=None, scopes=None)  # fmt: skip
    _account(rows, actor, password_hash, now)
    home = {"id": inbox_id, "owner_id": user_id, "name": "Inbox", "is_inbox": True, "version": 1}
    rows["lists"].append({**home, "created_at": now, "updated_at": now})
    rows["members"].append({"list_id": inbox_id, "user_id": user_id, "role": "owner", "joined_at": now})
    rows["streams"] += (
        {"id": one, "revision": count, "trimmed": count} for one, count in ((user_id, 0), (inbox_id, todos_each))
    )
    todo_ids = [ids.new_id() for _ in range(todos_each)]
    rows["todos"] += (_todo(actor, todo_id, number, now) for number, todo_id in enumerate(todo_ids, 1))
    return Person(user_id, username, inbox_id, _tokens().issue(user_id, session_id, 0, now), todo_ids)


def _account(rows: Rows, actor: Actor, password_hash: str, now: datetime) -> None:
    """A user who is logged in."""
    email = f"{actor.username}@example.com"
    user: dict[str, object] = {
        "id": actor.user_id,
        "email": email,
        "email_key": email,
        "username": actor.username,
        "username_key": actor.username,
        "password_hash": password_hash,
        "is_admin": False,
        "timezone": "UTC",
        "inbox_id": actor.inbox_id,
        "created_at": now,
        "updated_at": now,
    }
    session: dict[str, object] = {
        "id": actor.session_id,
        "user_id": actor.user_id,
        "refresh_hash": actor.user_id.bytes * 2,
        "generation": 0,
        "seen_generation": 0,
        "rotated_at": now,
        "created_at": now,
        "last_used_at": now,
        "expires_at": now + LIFETIME,
    }
    rows["users"].append(user)
    rows["sessions"].append(session)


def _todo(actor: Actor, todo_id: UUID, number: int, now: datetime) -> dict[str, object]:
    """As the API would have made it: one in two has a label, one in five a due date."""
    wanted: dict[str, object] = {"title": f"Todo number {number}", "priority": 1 + number % 5}
    if number % 2:
        wanted["labels"] = ["home"]
    if number % 5 == 0:
        wanted["due"] = Due(now.date())
    new = creation.New(todo_id, wanted)
    row = creation.new_row(actor, new, actor.inbox_id, ordering.at_end(number), "owner", now)
    values = row._asdict()
    del values["role"]
    return {**values, "terms": fields.terms(row)}


def _tokens() -> AccessTokens:
    return AccessTokens(configuration.SECRET_KEY.encode(), None, issuer="doable", lifetime=LIFETIME)


async def _write(url: str, rows: Rows) -> None:
    if url.startswith("postgresql"):
        connection = await asyncpg.connect(url)
        for table in _TABLES:
            await _copy(connection, table, rows[table.name])
        await connection.close()
        return
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
        for table in _TABLES:
            names, records = _records(table, rows[table.name])
            marks = ", ".join("?" * len(names))
            file.executemany(
                f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})",  # noqa: S608 — our own names
                [tuple(_sqlite(value) for value in record) for record in records],
            )
        file.commit()


async def _copy(connection: "asyncpg.Connection[asyncpg.Record]", table: Table, rows: list[dict[str, object]]) -> None:
    names, records = _records(table, rows)
    await connection.copy_records_to_table(table.name, records=records, columns=names)


def _records(table: Table, rows: list[dict[str, object]]) -> tuple[list[str], list[tuple[object, ...]]]:
    """Columns that no row has a value for keep their default."""
    given = set(chain.from_iterable(rows))
    names = [column.name for column in table.c if column.name in given]
    return names, [tuple(row.get(name) for name in names) for row in rows]


def _sqlite(value: object) -> object:
    if isinstance(value, UUID):
        return value.bytes
    return clock.iso(value) if isinstance(value, datetime) else value
