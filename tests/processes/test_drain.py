"""Being told to stop: nothing that was accepted is lost, and the end comes in time."""

import http.client
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from doable.settings import Settings
from tests.support import configuration, servers
from tests.support.postgres import Postgres
from tests.support.servers import Server

SLOW = "db.before_commit=sleep:2.5"
NEVER = "db.before_commit=sleep:60"
FORM = {
    "email": "ana@example.com",
    "username": "ana",
    "password": "seven-blue-otters",
    "confirm_password": "seven-blue-otters",
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def register(server: Server) -> httpx2.Response:
    """A write."""
    return httpx2.post(f"{server.base_url}/api/v1/users", json=FORM, timeout=30, trust_env=False)


@contextmanager
def writing(server: Server) -> Iterator[Future[httpx2.Response]]:
    """A write that is under way."""
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(register, server)
        time.sleep(0.7)
        assert not answer.done(), answer.result().text
        yield answer


def readiness(server: Server) -> str:
    """What a load balancer learns, asking on a new connection."""
    try:
        answer = httpx2.get(f"{server.base_url}/health/ready", timeout=5, trust_env=False)
    except (httpx2.ConnectError, httpx2.RemoteProtocolError):  # or closed in the moment in which it was made
        return "refused"
    status: str = answer.json()["status"]
    assert (answer.status_code == 200) == (status == "ok")
    return status


def test_a_write_in_flight_is_finished_and_kept_while_readiness_is_refused(settings: Settings, tmp_path: Path) -> None:
    with servers.serve(settings, tmp_path, DOABLE_FAILPOINTS=SLOW) as server:
        with writing(server) as answer:
            server.process.send_signal(signal.SIGTERM)
            seen = ["ok"]
            while not answer.done():
                if (status := readiness(server)) != seen[-1]:
                    seen.append(status)
                time.sleep(0.02)
            assert seen[1:] == ["draining", "refused"]
            assert answer.result().status_code == 201, answer.result().text
            assert answer.result().headers["connection"] == "close"
        assert server.process.wait(10) == 0
        assert "Application shutdown complete" in server.log
        assert "Traceback" not in server.log
    with servers.serve(settings, tmp_path) as again:
        assert register(again).status_code == 409


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_every_worker_finishes_its_writes(settings: Settings, tmp_path: Path) -> None:
    with servers.serve(settings, tmp_path, "--workers", "2", DOABLE_FAILPOINTS=SLOW) as server:
        with writing(server) as answer:
            server.process.send_signal(signal.SIGTERM)
            while readiness(server) != "refused":
                time.sleep(0.02)
            assert not answer.done()
            assert answer.result().status_code == 201, answer.result().text
        assert server.process.wait(10) == 0
        assert server.log.count("Application shutdown complete") == 2


@sqlite_only
def test_an_open_connection_is_told_to_close(settings: Settings, tmp_path: Path) -> None:
    with servers.serve(settings, tmp_path) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        headers = []
        for _ in range(2):
            connection.request("GET", "/health/live")
            answer = connection.getresponse()
            answer.read()
            headers.append(answer.getheader("connection"))
            if len(headers) == 1:
                server.process.send_signal(signal.SIGTERM)
                while readiness(server) == "ok":
                    time.sleep(0.02)
        assert headers == [None, "close"]
        connection.close()
        assert server.process.wait(10) == 0


@sqlite_only
def test_a_request_that_was_on_its_way_is_answered(settings: Settings, tmp_path: Path) -> None:
    with servers.serve(settings, tmp_path) as server, socket.create_connection(("127.0.0.1", server.port)) as early:
        server.process.send_signal(signal.SIGINT)
        while True:
            try:
                socket.create_connection(("127.0.0.1", server.port)).close()
                time.sleep(0.005)
            except ConnectionError:
                break
        early.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert early.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert server.process.wait(10) == 0


@sqlite_only
def test_no_request_is_dropped_by_the_end_of_the_server(settings: Settings, tmp_path: Path) -> None:
    """On new connections, by many: each is answered, or was never accepted."""
    problems: list[str] = []
    answered: list[int] = []

    def knock(server: Server) -> None:
        while True:
            try:
                url = f"{server.base_url}/health/live"
                answered.append(httpx2.get(url, timeout=10, trust_env=False).status_code)
            except httpx2.ConnectError:
                return
            except httpx2.TransportError as error:
                problems.append(repr(error))
                return

    with servers.serve(settings, tmp_path) as server:
        threads = [threading.Thread(target=knock, args=[server]) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        assert server.stop() == 0
        for thread in threads:
            thread.join()
    assert problems == []
    assert set(answered) == {200}


@sqlite_only
def test_ctrl_c_waits_for_requests_but_gives_no_notice(settings: Settings, tmp_path: Path) -> None:
    with servers.serve(settings, tmp_path, DOABLE_FAILPOINTS=SLOW) as server:
        with writing(server) as answer:
            server.process.send_signal(signal.SIGINT)
            time.sleep(0.5)
            assert readiness(server) == "refused"
            assert answer.result().status_code == 201
        assert server.process.wait(10) == 0


@sqlite_only
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_where_it_stands(settings: Settings, tmp_path: Path, how: signal.Signals) -> None:
    with servers.serve(settings, tmp_path, DOABLE_FAILPOINTS=NEVER) as server, writing(server) as answer:
        server.process.send_signal(how)
        time.sleep(0.5)
        assert server.process.poll() is None
        server.process.send_signal(how)
        assert server.process.wait(5) == -how
        with pytest.raises(httpx2.TransportError):
            answer.result()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_second_signal_ends_all_workers(settings: Settings, tmp_path: Path) -> None:
    with (
        servers.serve(settings, tmp_path, "--workers", "2", DOABLE_FAILPOINTS=NEVER) as server,
        writing(server) as answer,
    ):
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(5) == -signal.SIGTERM
        with pytest.raises(httpx2.TransportError):
            answer.result()


@sqlite_only
def test_what_takes_longer_than_the_grace_is_cut_off(settings: Settings, tmp_path: Path) -> None:
    changed = settings.model_copy(update={"shutdown_grace_seconds": 1})
    with servers.serve(changed, tmp_path, DOABLE_FAILPOINTS=NEVER) as server, writing(server) as answer:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(12) == 0
        assert answer.exception() or answer.result().status_code >= 500
    with servers.serve(settings, tmp_path) as again:
        assert register(again).status_code == 201


def test_a_database_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with Postgres() as postgres, postgres.fresh() as url:
        settings = configuration.make_settings(url, tmp_path, shutdown_grace_seconds=1)
        with servers.serve(settings, tmp_path) as server:
            children = Path(f"/proc/{postgres.pid}/task/{postgres.pid}/children").read_text()
            tree = [postgres.pid, *map(int, children.split())]
            for process in tree:
                os.kill(process, signal.SIGSTOP)
            try:
                # 1 if it was asking the database something at that moment, which then does not end.
                assert (server.stop() == 1) == ('"shutdown_too_slow"' in server.log)
            finally:
                for process in tree:
                    os.kill(process, signal.SIGCONT)


@pytest.mark.parametrize("arguments", [(), ("--reload",)], ids=["alone", "supervised"])
@pytest.mark.parametrize("after", [0.2, 0.8, 1.4, 2.0])
def test_a_signal_during_the_start_is_obeyed(tmp_path: Path, after: float, arguments: tuple[str, ...]) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    with servers.serve(settings, tmp_path, *arguments, ready=False) as server:
        time.sleep(after)
        # Python itself has to start before it can say 0.
        assert server.stop() in {0, -signal.SIGTERM}
        assert "Traceback" not in server.log
    with servers.serve(settings, tmp_path) as again:
        assert register(again).status_code == 201
