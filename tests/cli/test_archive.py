"""`doable backup` and `doable restore`: everything, between any two databases, or nothing."""

import asyncio
import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest

from doable.app import create_app
from doable.core import clock
from doable.core import events as log
from doable.core.tables import metadata
from doable.settings import Settings
from doable.todos import events
from tests.cli.conftest import Doable
from tests.support import asgi, configuration, folding, phones
from tests.support.people import Person, register
from tests.support.phones import Phone


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, folder: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{folder}/fresh.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def file(folder: Path) -> Path:
    return folder / "backup.gz"


async def _lived_in(client: httpx2.AsyncClient) -> Person:
    """Somebody's account with all sorts of rows."""
    ana = await register(client, "ana")
    home = await ana.list(color="#123456")
    for n in range(3):
        todo = await ana.todo(f"Übung {n} \U0001f680", list_id=home["id"], description="a\nb")
        await ana.patch(
            f"/todos/{todo['id']}", {"priority": 1, "completed": True}, headers={"Idempotency-Key": f"k{n}"}
        )
    await ana.delete(f"/todos/{(await ana.todo())['id']}")
    await ana.post("/users/me/tokens", {"name": "t", "scopes": ["todos:read"]})
    return ana


async def _seen(client: httpx2.AsyncClient, ana: Person) -> dict[str, Any]:
    """All that the API shows, and that the log tells."""
    mine = Person(client, ana.user, ana.tokens)
    truth = await phones.truth(mine)
    folded = {list_id: (await folding.fold(mine, list_id)).todos for list_id in truth.lists}
    me = (await mine.get("/users/me")).json()
    return {"todos": truth.todos, "lists": truth.lists, "log": folded, "me": me}


async def test_a_restored_database_shows_the_same_under_a_new_epoch(
    settings: Settings, empty_url: str, doable: Doable, doable_here: Doable, file: Path
) -> None:
    async with asgi.Running(create_app(settings)) as running:
        client = httpx2.AsyncClient(transport=asgi.Transport(running), base_url="http://testserver")
        ana = await _lived_in(client)
        phone = Phone(ana)
        await phone.sync()
        before = await _seen(client, ana)
        # The server goes on: what is written now is not in the backup, or is in it whole.
        made = doable("backup", str(file), DATABASE_URL=settings.database)
        assert made.returncode == 0, made.stderr
        await ana.todo("too late")
    assert file.stat().st_mode & 0o777 == 0o600
    restored = await asyncio.to_thread(doable_here, "restore", str(file), DATABASE_URL=empty_url)
    assert restored.returncode == 0, restored.stderr
    again = configuration.make_settings(empty_url, settings.data_dir)
    async with asgi.Running(create_app(again)) as running:
        client = httpx2.AsyncClient(transport=asgi.Transport(running), base_url="http://testserver")
        assert await _seen(client, ana) == before
        phone.person = Person(client, ana.user, ana.tokens)
        epoch = phone.epoch
        assert {delta["mode"] for delta in await phone.sync()} == {"snapshot"}
        assert phone.epoch != epoch
        assert "too late" not in {todo["title"] for todo in phone.todos.values()}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_todo_comes_out_of_a_backup_though_one_of_its_id_was_purged(
    settings: Settings, empty_url: str, doable: Doable, file: Path
) -> None:
    """As versions had it that did not look into the log."""
    async with asgi.Running(create_app(settings)) as running:
        ana = await register(httpx2.AsyncClient(transport=asgi.Transport(running), base_url="http://testserver"))
        todo = await ana.todo()
        home = (await ana.list())["id"]
        async with running.state["db"].transaction() as tx:
            await log.add(tx, UUID(home), log.operation(None, clock.now()), events.purged(UUID(todo["id"])))
    assert doable("backup", str(file), DATABASE_URL=settings.database).returncode == 0
    restored = doable("restore", str(file), DATABASE_URL=empty_url)
    assert restored.returncode == 0, restored.stderr


def test_every_table_is_in_the_file(doable_here: Doable, file: Path) -> None:
    doable_here("migrate")
    assert doable_here("backup", str(file)).returncode == 0
    lines = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    told = {line["table"]: line["columns"].keys() for line in lines if "table" in line}
    kept = {table.name: table.columns.keys() for table in metadata.tables.values() if table.name != "todo_search"}
    assert {name: list(columns) for name, columns in told.items()} == kept


def test_what_is_there_is_never_overwritten(doable_here: Doable, folder: Path, file: Path) -> None:
    doable_here("migrate")
    assert doable_here("backup", str(file)).returncode == 0
    first = file.read_bytes()
    again = doable_here("backup", str(file))
    assert (again.returncode, again.stderr) == (1, f"Error: {file} exists; a backup overwrites nothing.\n")
    assert file.read_bytes() == first
    full = doable_here("restore", str(file))
    assert full.returncode == 1
    assert "not empty" in full.stderr
    assert [path.name for path in folder.glob("*unfinished*")] == []


@pytest.mark.parametrize("harm", ["cut", "bent", "short", "strange", "newer"])
def test_a_bad_file_restores_nothing(doable_here: Doable, folder: Path, file: Path, harm: str) -> None:
    doable_here("migrate")
    doable_here("user", "create", "--username", "ana", "--email", "ana@example.com", "--password-stdin", typed="p" * 12)
    doable_here("backup", str(file))
    raw, lines = file.read_bytes(), gzip.decompress(file.read_bytes()).splitlines(keepends=True)
    file.write_bytes(
        {
            "cut": raw[:-40],
            "bent": raw[: len(raw) // 2] + bytes([raw[len(raw) // 2] ^ 255]) + raw[len(raw) // 2 + 1 :],
            "short": gzip.compress(b"".join(lines[:-1])),
            "strange": b"not a backup",
            "newer": gzip.compress(lines[0].replace(b'"schema":"', b'"schema":"9') + b"".join(lines[1:])),
        }[harm]
    )
    url = f"sqlite:///{folder}/fresh.db"
    result = doable_here("restore", str(file), DATABASE_URL=url)
    assert result.returncode == 1
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.stderr
    with closing(sqlite3.connect(folder / "fresh.db")) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


def test_a_backup_of_an_older_schema_is_brought_to_the_newest(doable_here: Doable, folder: Path, file: Path) -> None:
    doable_here("migrate")
    doable_here("backup", str(file))
    lines = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    start = next(n for n, line in enumerate(lines) if isinstance(line, dict) and line.get("table") == "instance")
    older = [lines[0] | {"schema": "0003"}, *lines[start : start + 2], {"rows": 1}]
    file.write_bytes(gzip.compress(b"\n".join(json.dumps(line).encode() for line in older)))
    url = f"sqlite:///{folder}/fresh.db"
    result = doable_here("restore", str(file), DATABASE_URL=url)
    assert result.returncode == 0, result.stderr
    assert doable_here("migrate", "--check", DATABASE_URL=url).returncode == 0


def test_a_new_epoch_can_be_had_alone(doable_here: Doable) -> None:
    doable_here("migrate")
    first, second = (doable_here("db", "new-epoch").stdout for _ in range(2))
    assert first != second
    assert first.startswith("The epoch is ")
