"""A new epoch while somebody still has the one of before."""

import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from doable.settings import Settings
from tests.processes.test_drain import writing
from tests.processes.test_jobs import Worker
from tests.support import configuration, servers
from tests.support.people import register
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
postgresql_only = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def new_epoch(settings: Settings, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("doable"), "db", "new-epoch"],
        cwd=folder,
        env=servers._bare_environment() | configuration.environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@sqlite_only
def test_a_file_that_is_served_gets_no_new_epoch(settings: Settings, tmp_path: Path) -> None:
    with servers.serve(settings, tmp_path):
        refused = new_epoch(settings, tmp_path)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "doable.db is served already" in refused.stderr
    assert new_epoch(settings, tmp_path).returncode == 0


@postgresql_only
async def test_workers_with_the_epoch_of_before_make_way_for_others(settings: Settings, tmp_path: Path) -> None:
    with servers.serve(settings, tmp_path, "--workers", "2") as server:
        async with httpx2.AsyncClient(base_url=server.base_url, trust_env=False, timeout=20) as http:
            ana = await register(http, "ana")
        made = new_epoch(settings, tmp_path)
        epoch = made.stdout.split()[3]
        assert made.returncode == 0, made.stderr
        await until(lambda: server.log.count("epoch_changed") == 2)
        await until(lambda: server.log.count("Application startup complete") == 4)
        for _ in range(20):
            async with httpx2.AsyncClient(base_url=server.base_url, trust_env=False, timeout=20) as http:
                ana.client = http
                written = await ana.post("/todos", {"title": "Milk"})
                assert written.headers["doable-position"].partition(":")[0] == epoch


@sqlite_only
def test_a_worker_with_the_epoch_of_before_ends(settings: Settings, tmp_path: Path) -> None:
    worker = Worker(settings, tmp_path, 0, "")
    assert new_epoch(settings, tmp_path).returncode == 0
    assert worker.process.wait(20) == 0
    assert "epoch_changed" in worker.log_path.read_text()


@postgresql_only
def test_who_is_ending_already_does_so_in_order(settings: Settings, tmp_path: Path) -> None:
    with servers.serve(settings, tmp_path, DOABLE_FAILPOINTS="db.before_commit=sleep:7") as server:
        with writing(server) as answer:
            server.process.send_signal(signal.SIGTERM)
            assert new_epoch(settings, tmp_path).returncode == 0
            assert answer.result().status_code == 201, answer.result().text
        assert server.process.wait(20) == 0
        assert "epoch_changed" not in server.log
