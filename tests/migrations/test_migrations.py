"""The chain of migrations makes, on both databases, exactly the tables that the code has."""

import asyncio
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, bindparam, insert, select

from doable import features, migrations, runtime
from doable.accounts import endings
from doable.accounts.tables import users
from doable.core import clock, ids
from doable.core.events import events
from doable.core.instance import EPOCH
from doable.core.jobs.tables import jobs
from doable.core.queries import query, scalar
from doable.core.streams import streams
from doable.core.tables import metadata
from doable.lists.tables import lists
from doable.settings import Settings
from doable.todos.tables import todo_search, todos
from tests.support import configuration


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings for a database without a schema."""
    url = f"sqlite:///{tmp_path}/new.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    return configuration.make_settings(url, tmp_path)


async def test_the_migrated_schema_is_that_of_the_code(settings: Settings) -> None:
    assert features.FEATURES

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        found: list[object] = compare_metadata(context, metadata)
        return found

    async with migrations.snapshot(settings.database) as connection:
        assert await connection.run_sync(differences) == []


async def test_of_many_starters_one_migrates_and_the_others_wait(empty: Settings) -> None:
    outcomes = await asyncio.gather(*(migrations.migrate(empty.database) for _ in range(4)))
    assert sorted(outcomes) == [False, False, False, True]
    assert await migrations.migrate(empty.database) is False


async def test_a_new_database_has_an_epoch_of_its_own(empty: Settings) -> None:
    await migrations.migrate(empty.database)
    database = runtime.open_database(empty)
    epoch = (await database.reads.one(EPOCH)).epoch
    await database.close()
    assert 8 <= len(epoch) <= 16
    assert set(epoch) <= set("0123456789abcdefghijklmnopqrstuvwxyz")


async def test_a_migration_that_fails_leaves_nothing(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    real = command.upgrade

    def half_way(config: Config, revision: str) -> None:
        real(config, revision)
        raise ZeroDivisionError

    monkeypatch.setattr(command, "upgrade", half_way)
    with pytest.raises(ZeroDivisionError):
        await migrations.migrate(empty.database)
    monkeypatch.undo()
    assert await migrations.migrate(empty.database) is True


async def test_the_log_of_an_older_database_begins_with_the_upgrade(
    empty: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = command.upgrade
    monkeypatch.setattr(command, "upgrade", lambda config, _revision: real(config, "0001"))
    await migrations.migrate(empty.database)
    monkeypatch.undo()
    database = runtime.open_database(empty)
    async with database.transaction() as tx:
        await tx.execute(insert(streams).values(id=ids.new_id(), revision=7))
    assert await migrations.migrate(empty.database) is True
    assert await database.reads.all(query(scalar, select(streams.c.trimmed).order_by(streams.c.trimmed))) == [0, 7]
    await database.close()


async def test_todos_that_are_older_than_the_search_are_found(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    real = command.upgrade
    monkeypatch.setattr(command, "upgrade", lambda config, _revision: real(config, "0003"))
    await migrations.migrate(empty.database)
    monkeypatch.undo()
    database = runtime.open_database(empty)
    user_id, home_id, times = ids.new_id(), ids.new_id(), dict.fromkeys(("created_at", "updated_at"), clock.now())
    person = {"email": "", "username": "", "is_admin": False, "timezone": "UTC", "inbox_id": home_id, **times}
    home = {"owner_id": user_id, "name": "", "is_inbox": True, "version": 1, **times}
    todo = {"list_id": home_id, "position": "a0", "title_key": "", "priority": 3, "created_by": user_id, "version": 1}
    titles = {ids.new_id(): f"Cr\u00e8me {n}" for n in range(2_100)}
    async with database.transaction() as tx:
        await tx.execute(insert(users), id=user_id, **person)
        await tx.execute(insert(lists), id=home_id, **home)
        rows = ({"id": todo_id, "title": title, **todo, **times} for todo_id, title in titles.items())
        await tx.many(insert(todos), rows)
    assert await migrations.migrate(empty.database) is True
    terms = select(todo_search.c.todo_id).where(
        todo_search.c.list_id == home_id, todo_search.c.term == bindparam("term")
    )
    assert set(await database.reads.all(query(scalar, terms), term="creme")) == set(titles)
    for n, todo_id in enumerate(titles):
        if n % 300 == 0:
            assert await database.reads.all(query(scalar, terms), term=str(n)) == [todo_id]
    await database.close()


async def test_mails_that_an_older_server_gave_up_keep_no_text(
    empty: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = command.upgrade
    monkeypatch.setattr(command, "upgrade", lambda config, _revision: real(config, "0013"))
    await migrations.migrate(empty.database)
    monkeypatch.undo()
    database = runtime.open_database(empty)
    shared = {"queue": "mail", "attempts": 1, "fence": 1, "run_at": clock.now(), "created_at": clock.now()}
    async with database.transaction() as tx:
        for name, state in (("mail.send", "dead"), ("mail.send", "waiting"), ("other", "dead")):
            await tx.execute(insert(jobs), id=ids.new_id(), name=name, state=state, args='"a secret"', **shared)
    assert await migrations.migrate(empty.database) is True
    kept = query(lambda name, state: (name, state), select(jobs.c.name, jobs.c.state).where(jobs.c.args != ""))
    assert sorted(await database.reads.all(kept)) == [("mail.send", "waiting"), ("other", "dead")]
    await database.close()


async def test_people_of_an_older_database_get_a_stream_and_their_memberships_are_found(
    empty: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = command.upgrade
    monkeypatch.setattr(command, "upgrade", lambda config, _revision: real(config, "0004"))
    await migrations.migrate(empty.database)
    monkeypatch.undo()
    database = runtime.open_database(empty)
    now, ana, gone, home = clock.now(), ids.new_id(), ids.new_id(), ids.new_id()
    person = {"email": "", "username": "x", "is_admin": False, "timezone": "UTC", "created_at": now, "updated_at": now}
    a_list = {"name": "x", "is_inbox": False, "created_at": now, "updated_at": now, "version": 1}
    added = {"operation_id": ids.new_id(), "at": now, "kind": "member.added", "data": "{}"}
    async with database.transaction() as tx:
        await tx.execute(insert(users).values(id=ana, inbox_id=home, **person))
        await tx.execute(insert(users).values(id=gone, inbox_id=gone, deleted_at=now, **person))
        await tx.execute(insert(lists).values(id=home, owner_id=ana, **a_list))
        await tx.execute(insert(events).values(stream_id=home, revision=2, **added))
    assert await migrations.migrate(empty.database) is True
    opened = query(scalar, select(streams.c.id).where(streams.c.revision == 0, streams.c.id != endings.STREAM))
    assert await database.reads.all(opened) == [ana]
    assert await database.reads.all(query(scalar, select(events.c.subject_id))) == [ana]
    await database.close()
