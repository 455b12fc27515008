"""What the machine and its keeper do: a clock that jumps, a folder that cannot be written, another secret, a stall."""

import asyncio
import datetime as dt
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from doable.settings import Settings
from tests.support import configuration, servers, systems
from tests.support.accounts import Mailbox, Wait
from tests.support.attacks import Row
from tests.support.people import API, Person, register
from tests.support.systems import System, health

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
OTHER_KEY = "fedcba9876543210-the-key-that-comes-next"
sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.mark.parametrize("place", ["a folder that is a file", "a file system without room for it"])
def test_f18_what_cannot_be_written_to_is_said_before_anything_is_served(tmp_path: Path, row: Row, place: str) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "data" if place == "a folder that is a file" else Path("/proc/doable")
    result = subprocess.run(
        [Path(sys.executable).with_name("doable"), "serve", "--port", "0"],
        cwd=tmp_path,
        env=servers._bare_environment() | {"DATA_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    row.tell(
        "F18 no place to write", "SQLite", note=f"{place}: {result.stderr.strip()}"[:150].replace(str(tmp_path), "…")
    )
    assert result.returncode == 78, result
    assert (result.stdout, len(result.stderr.splitlines())) == ("", 1)
    assert str(folder) in result.stderr


async def test_f34_the_loop_is_blocked_and_readiness_knows(sqlite_settings: Settings, tmp_path: Path, row: Row) -> None:
    extra = {"DOABLE_FAILPOINTS": "sync.positions_read=block:4"}
    async with (
        systems.embedded(sqlite_settings, tmp_path, **extra) as system,
        httpx2.AsyncClient(base_url=system.base_url, timeout=30, trust_env=False) as client,
    ):
        ana = await register(client)
        blocking = asyncio.create_task(ana.post("/sync", {"epoch": None, "revisions": {}}))
        await asyncio.sleep(0.5)
        status, said, took = await health(system)
        assert (status, said) == (503, "unavailable"), took
        assert (await blocking).status_code == 200
        await systems.eventually(lambda: _status(system), "ok", 10)
        metrics = await client.get("/metrics", headers={"Authorization": f"Bearer {systems.METRICS}"})
        late = re.findall(r"^doable_event_loop_lag_seconds_sum (\S+)", metrics.text, re.MULTILINE)
        assert float(late[0]) > 3
        row.tell(
            "F34 the loop is blocked for 4 s", "SQLite", note=f"readiness answers 503 after {took:.1f} s, then 200"
        )


async def _status(system: System) -> str:
    return (await health(system))[1]


async def test_f38_the_secret_is_changed(sqlite_settings: Settings, tmp_path: Path, row: Row) -> None:
    rotated = {"secret_key": SecretStr(OTHER_KEY)}
    overlap = {**rotated, "secret_key_previous": SecretStr(configuration.SECRET_KEY)}
    seen: list[tuple[int, int]] = []
    person: Person | None = None
    for changes in ({}, overlap, rotated):
        settings = sqlite_settings.model_copy(update=changes)
        with servers.serve(settings, tmp_path) as server:
            async with httpx2.AsyncClient(base_url=server.base_url, timeout=20, trust_env=False) as client:
                person = await register(client) if person is None else Person(client, person.user, person.tokens)
                me = await person.get("/users/me")
                refreshed = await client.post(
                    f"{API}/auth/refresh", json={"refresh_token": person.tokens["refresh_token"]}
                )
                seen.append((me.status_code, refreshed.status_code))
                if not changes:
                    person.tokens |= {"refresh_token": refreshed.json()["refresh_token"]}
    assert seen == [(200, 200), (200, 200), (401, 401)]
    row.tell("F38 another secret", "SQLite", note="with the old one beside it nobody notices; without it 401")


@pytest.mark.fault
async def test_f35_no_file_descriptor_is_left(one_process: System, row: Row) -> None:
    system = one_process
    async with row.attack("F35 no file descriptor left", system, hooks=False) as attack:
        attack.slowest = 20.0  # who finds none waits until there is one
        limit = f"--nofile={system.usage().files + 20}:"
        subprocess.run(["prlimit", limit, "--pid", str(system.server.pid)], check=True)
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            idle = [group.create_task(_connect(system.server.port)) for _ in range(200)]
        await asyncio.sleep(2)
        assert system.server.process.poll() is None
        for writer in (task.result() for task in idle):
            writer.transport.abort()
        await attack.lift()


async def _connect(port: int) -> asyncio.StreamWriter:
    return (await asyncio.open_connection("127.0.0.1", port))[1]


@pytest.mark.parametrize("jump", [dt.timedelta(hours=2), dt.timedelta(hours=-1)], ids=["+2 h", "-1 h"])
@sqlite_only
async def test_f19_the_clock_jumps(
    client: httpx2.AsyncClient, mailbox: Mailbox, wait: Wait, row: Row, jump: dt.timedelta
) -> None:
    ana = await register(client)
    once = {"token": await mailbox.token(ana.user["email"], "Confirm")}
    assert (await client.post(f"{API}/auth/verify-email", json=once)).status_code == 204
    first = await ana.todo("before")
    wait(jump)
    # Issued in the future, or too long ago: neither is worth anything, and neither locks anybody out.
    assert (await ana.get("/users/me")).status_code == 401
    refreshed = await client.post(f"{API}/auth/refresh", json={"refresh_token": ana.tokens["refresh_token"]})
    assert refreshed.status_code == 200
    ana.tokens = refreshed.json()
    assert (await client.post(f"{API}/auth/verify-email", json=once)).status_code >= 400
    second = await ana.todo("after")
    assert second["position"] > first["position"]
    assert (await ana.get("/todos")).json()["total"] == 2
    note = "access tokens of before are refused, sessions go on, what was used once stays used"
    row.tell(f"F19 the clock jumps {jump.total_seconds() / 3600:+g} h", "SQLite", note=note)
