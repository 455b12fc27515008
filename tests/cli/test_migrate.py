"""`doable migrate`: to the newest schema, once, whoever else does it at the same time."""

import socket
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM, Doable
from tests.support import servers
from tests.support.addresses import free_port

MIGRATED = "The database has the newest schema now.\n"
ALREADY = "The database has the newest schema.\n"
UNAVAILABLE = 69


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, folder: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{folder}/fresh.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


def test_it_migrates_once_and_check_tells_whether_it_would(doable_here: Doable, empty_url: str) -> None:
    before = doable_here("migrate", "--check", DATABASE_URL=empty_url)
    assert (before.returncode, before.stdout) == (1, "")
    assert "doable migrate" in before.stderr
    assert doable_here("migrate", DATABASE_URL=empty_url).stdout == MIGRATED
    after = doable_here("migrate", "--check", DATABASE_URL=empty_url)
    assert (after.returncode, after.stdout, after.stderr) == (0, ALREADY, "")
    assert doable_here("migrate", DATABASE_URL=empty_url).stdout == ALREADY


def test_of_several_starters_one_migrates_and_the_others_wait(folder: Path, empty_url: str) -> None:
    environment = servers._bare_environment() | {"DATABASE_URL": empty_url}
    starters = [
        subprocess.Popen(
            [PROGRAM, "migrate"], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    results = [starter.communicate(timeout=60) for starter in starters]
    assert [starter.returncode for starter in starters] == [0, 0, 0], results
    assert sorted(out for out, _ in results) == sorted([MIGRATED, ALREADY, ALREADY])


def test_a_database_of_a_newer_version_is_left_alone(doable_here: Doable, folder: Path) -> None:
    assert doable_here("migrate").returncode == 0
    with closing(sqlite3.connect(folder / "data" / "doable.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'from_the_future'")
    for arguments in (["migrate"], ["migrate", "--check"], ["user", "list"]):
        result = doable_here(*arguments)
        assert result.returncode == 1
        assert result.stderr == "Error: The database was migrated by a newer version of Doable; install that one.\n"


def test_a_server_that_is_not_there_is_named_without_its_password(doable_here: Doable) -> None:
    port = free_port()
    result = doable_here("migrate", DATABASE_URL=f"postgresql://ana:hunter2@127.0.0.1:{port}/todos")
    assert result.returncode == UNAVAILABLE
    assert result.stderr.startswith(f"Error: The database does not answer (PostgreSQL, 127.0.0.1:{port}/todos): ")
    assert len(result.stderr.splitlines()) == 1
    assert "hunter2" not in result.stderr


def test_a_server_that_hangs_is_given_up(doable: Doable) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        result = doable("serve", "--port", "0", DATABASE_URL=f"postgresql://ana:hunter2@127.0.0.1:{port}/todos")
    assert result.returncode == UNAVAILABLE
    because, _, why = result.stderr.partition(": TimeoutError")[0].partition(": no connection")
    assert because == f"Error: The database does not answer (PostgreSQL, 127.0.0.1:{port}/todos)"
    assert why in {"", " could be opened in time\n"}  # the driver's time is over at the same moment as the pool's


def test_a_database_that_does_not_exist_is_named(doable_here: Doable, postgres_url: str) -> None:
    result = doable_here("migrate", DATABASE_URL=f"{postgres_url}_missing")
    assert result.returncode == UNAVAILABLE
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.endswith('_missing" does not exist\n')


def test_a_file_that_is_no_database_is_refused_and_kept(doable_here: Doable, folder: Path) -> None:
    file = folder / "letter.txt"
    file.write_text("Dear Ana,\n" * 1000)
    result = doable_here("migrate", DATABASE_URL=f"sqlite:///{file}")
    assert result.returncode == UNAVAILABLE
    assert result.stderr == (f"Error: The database does not answer (SQLite, {file}): file is not a database\n")
    assert file.read_text() == "Dear Ana,\n" * 1000


def test_a_file_in_a_folder_that_does_not_exist_is_refused(doable_here: Doable, folder: Path) -> None:
    result = doable_here("migrate", DATABASE_URL=f"sqlite:///{folder}/missing/doable.db")
    assert (result.returncode, result.stderr) == (78, f"Error: DATABASE_URL: there is no folder {folder}/missing\n")
