"""A server that dies between any two steps of a write, and a client that sends the write again: one effect."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from doable.settings import Settings
from tests.support import servers
from tests.support.people import PASSWORD
from tests.support.servers import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
DEATHS = {
    "idempotency.claimed": False,  # whether the effect is there when the server has died
    "idempotency.answered": False,
    "db.before_commit": False,
    "db.after_commit": True,
}


def send(server: Server, method: str, path: str, headers: dict[str, str], body: object = None) -> httpx2.Response:
    url = f"{server.base_url}/api/v1{path}"
    return httpx2.request(method, url, json=body, headers=headers, timeout=30, trust_env=False)


def log_in(server: Server) -> dict[str, str]:
    person = {"email": "ana@example.com", "username": "ana", "password": PASSWORD, "confirm_password": PASSWORD}
    assert send(server, "POST", "/users", {}, person).status_code == 201
    tokens = send(server, "POST", "/auth/login", {}, {"login": "ana", "password": PASSWORD}).json()
    return {"Authorization": f"Bearer {tokens['access_token']}"}


def titles(server: Server, headers: dict[str, str]) -> list[str]:
    items: list[dict[str, Any]] = send(server, "GET", "/todos", headers).json()["items"]
    return [item["title"] for item in items]


def test_a_write_that_is_sent_again_until_it_is_answered_has_one_effect(settings: Settings, tmp_path: Path) -> None:
    with servers.serve(settings, tmp_path) as server:
        headers = log_in(server)
    expected: list[str] = []
    for point, done in DEATHS.items():
        keyed = {**headers, "Idempotency-Key": point}
        with servers.serve(settings, tmp_path, DOABLE_FAILPOINTS=f"{point}=exit") as server:
            with pytest.raises(httpx2.TransportError):
                send(server, "POST", "/todos", keyed, {"title": point})
            assert server.process.wait(10) == 99
        with servers.serve(settings, tmp_path) as server:
            assert titles(server, headers) == ([point, *expected] if done else expected)
            answers = [send(server, "POST", "/todos", keyed, {"title": point}) for _ in range(2)]
            assert [answer.status_code for answer in answers] == [201, 201]
            assert [answer.headers.get("idempotent-replayed") for answer in answers] == [
                "true" if done else None,
                "true",
            ]
            assert answers[0].content == answers[1].content
            assert answers[0].headers["location"] == answers[1].headers["location"]
            expected.insert(0, point)
            assert titles(server, headers) == expected


def test_a_todo_that_is_put_until_it_is_answered_is_there_once(settings: Settings, tmp_path: Path) -> None:
    path = f"/todos/{uuid4()}"
    with servers.serve(settings, tmp_path) as server:
        headers = log_in(server)
    with servers.serve(settings, tmp_path, DOABLE_FAILPOINTS="db.after_commit=exit") as server:
        with pytest.raises(httpx2.TransportError):
            send(server, "PUT", path, headers, {"title": "x"})
        assert server.process.wait(10) == 99
    with servers.serve(settings, tmp_path) as server:
        assert send(server, "PUT", path, headers, {"title": "x"}).status_code == 200
        assert titles(server, headers) == ["x"]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_workers_share_the_keys(settings: Settings, tmp_path: Path) -> None:
    with servers.serve(settings, tmp_path, "--workers", "2") as server:
        headers = log_in(server)
        for number in range(10):
            keyed = {**headers, "Idempotency-Key": f"{number}"}
            answers = {send(server, "POST", "/todos", keyed, {"title": f"{number}"}).content for _ in range(4)}
            assert len(answers) == 1
        assert len(titles(server, headers)) == 10
