"""`doable user …`: by the rules of the API, on both databases."""

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest

from doable.settings import Settings
from tests.cli.conftest import PROGRAM, Doable, Result
from tests.support import applications, blocking, servers
from tests.support.people import API

PASSWORD = "seven-blue-otters"


@pytest.fixture
def user(doable_here: Doable, settings: Settings) -> Doable:
    """`doable user …` on a migrated database."""

    def run(*arguments: str, **options: Any) -> Result:
        return doable_here("user", *arguments, DATABASE_URL=settings.database, **options)

    return run


def create(user: Doable, username: str, *arguments: str, password: str = PASSWORD) -> Result:
    given = ("--email", f"{username}@example.com", "--username", username, "--password-stdin")
    return user("create", *given, *arguments, typed=f"{password}\n")


def listed(user: Doable) -> dict[str, dict[str, Any]]:
    return {row["username"]: row for row in json.loads(user("list", "--json").stdout)}


def test_an_administrator_is_created_listed_and_can_log_in(doable: Doable, user: Doable, settings: Settings) -> None:
    given = ("--email", "ana@example.com", "--username", "ana", "--password-stdin", "--admin")
    created = doable("user", "create", *given, typed=PASSWORD, DATABASE_URL=settings.database)
    assert created.returncode == 0, created.stderr
    assert created.stderr == ""
    user_id = str(UUID(created.stdout.strip()))
    row = listed(user)["ana"]
    assert (row["id"], row["is_admin"], row["email_verified"], row["disabled_at"]) == (user_id, True, True, None)
    answer = blocking.run(_log_in(settings, "ana"))
    assert answer.status_code == 200, answer.text


async def _log_in(settings: Settings, username: str) -> httpx2.Response:
    async with applications.started(settings) as client:
        return await client.post(f"{API}/auth/login", json={"login": username, "password": PASSWORD})


def test_what_may_be_done_to_a_user(user: Doable) -> None:
    for name in ("ana", "bela"):
        assert create(user, name, "--admin").returncode == 0
    assert user("demote", "ana@example.com").stdout == "ana is no administrator.\n"
    assert user("disable", "ana").stdout == "ana is disabled.\n"
    assert (listed(user)["ana"]["is_admin"], listed(user)["ana"]["disabled_at"] is None) == (False, False)
    assert user("enable", "ANA").stdout == "ana is enabled.\n"
    assert user("promote", "ana").stdout == "ana is an administrator.\n"
    assert (listed(user)["ana"]["is_admin"], listed(user)["ana"]["disabled_at"]) == (True, None)
    assert user("set-password", "ana", "--password-stdin", typed="nine-red-herons\n").returncode == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
class TestRefusals:
    def test_the_last_administrator_stays_one(self, user: Doable) -> None:
        create(user, "ana", "--admin")
        for verb in ("demote", "disable"):
            result = user(verb, "ana")
            assert (result.returncode, result.stdout) == (1, "")
            assert result.stderr == "Error: This is the last administrator; make somebody else one first.\n"

    def test_names_and_addresses_are_unique(self, user: Doable) -> None:
        assert create(user, "ana").returncode == 0
        assert create(user, "bela", "--email", "Ana@Example.com").stderr == (
            "Error: This e-mail address is registered already.\n"
        )
        assert create(user, "Ana", "--email", "bela@example.com").stderr == "Error: This username is taken.\n"

    def test_nobody_unknown_is_changed(self, user: Doable) -> None:
        for arguments in (["disable", "nobody"], ["set-password", "nobody@example.com", "--password-stdin"]):
            result = user(*arguments, typed=f"{PASSWORD}\n")
            assert (result.returncode, result.stderr) == (1, "Error: There is no such user.\n")

    def test_a_weak_password_is_refused_and_not_repeated(self, user: Doable) -> None:
        result = create(user, "ana", password="password123")
        assert result.returncode == 1
        assert result.stderr.startswith("Error: ")
        assert len(result.stderr.splitlines()) == 1
        assert "password123" not in result.stderr
        assert listed(user) == {}

    def test_what_the_api_refuses_is_refused_here(self, user: Doable) -> None:
        refused = {
            ("--email", "ana"): "Invalid value for '--email'",
            ("--username", "a"): "Invalid value for '--username'",
            ("--username", "ana maria"): "Invalid value for '--username'",
        }
        for change, told in refused.items():
            result = create(user, "ana", *change)
            assert result.returncode == 2
            assert told in result.stderr
        short = create(user, "ana", password="short")
        assert short.returncode == 2
        assert "at least 8 characters" in short.stderr
        assert listed(user) == {}

    def test_a_password_is_not_awaited_from_nobody(self, user: Doable) -> None:
        result = user("create", "--email", "ana@example.com", "--username", "ana")
        assert result.returncode == 2
        assert "--password-stdin" in result.stderr


def test_a_database_without_a_schema_is_left_to_migrate(doable_here: Doable) -> None:
    result = doable_here("user", "list")
    assert result.returncode == 1
    assert "doable migrate" in result.stderr


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_table_shows_who_there_is(user: Doable) -> None:
    assert user("list").stdout.split() == ["USERNAME", "E-MAIL", "ROLE", "STATE", "CREATED", "ID"]
    create(user, "ana", "--admin")
    create(user, "bela")
    user("disable", "bela")
    _, ana, bela = [line.split() for line in user("list").stdout.splitlines()]
    assert ana[:4] == ["ana", "ana@example.com", "admin", "enabled"]
    assert bela[:4] == ["bela", "bela@example.com", "user", "disabled"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_person_is_asked_until_the_answers_will_do(user: Doable, settings: Settings, folder: Path) -> None:
    typed = ["ana", "ana@example.com", "a", "ana", "short", PASSWORD, PASSWORD]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [PROGRAM, "user", "create"],
        cwd=folder,
        env=servers._bare_environment() | {"DATABASE_URL": settings.database},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = converse(ours, typed)
        assert process.wait(30) == 0, shown
    os.close(ours)
    assert PASSWORD not in shown
    assert list(listed(user)) == ["ana"]


def converse(terminal: int, answers: list[str]) -> str:
    """Answer each prompt, which ends in a colon and a space; everything that was shown."""
    shown = b""
    waiting = list(answers)
    while True:
        try:
            more = os.read(terminal, 4096)
        except OSError:  # as Linux tells the end of a terminal
            more = b""
        if not more:
            return shown.decode()
        shown += more
        if shown.endswith(b": ") and waiting:
            os.write(terminal, waiting.pop(0).encode() + b"\n")
