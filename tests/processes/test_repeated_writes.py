"""A server that dies between any two steps of a write, and a client that sends the write again: one effect."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from doable.settings import Settings
from tests.support import applications, servers
from tests.support.people import Person, register

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
DEATHS = {
    "idempotency.claimed": False,  # whether the effect is there when the server has died
    "idempotency.answered": False,
    "db.before_commit": False,
    "db.after_commit": True,
}


@pytest.fixture
async def ana(settings: Settings) -> Person:
    """Her requests go to whichever server there is."""
    async with applications.started(settings) as client:
        return await register(client, "ana")


async def titles(person: Person) -> list[str]:
    return [item["title"] for item in (await person.get("/todos")).json()["items"]]


async def send_in_vain(
    person: Person, point: str, settings: Settings, folder: Path, method: str, path: str, **request: Any
) -> None:
    """To a server that dies of it."""
    with servers.serve(settings, folder, DOABLE_FAILPOINTS=f"{point}=exit") as server:
        async with httpx2.AsyncClient(base_url=server.base_url, timeout=30, trust_env=False) as person.client:
            with pytest.raises(httpx2.TransportError):
                await person.request(method, path, **request)
        assert server.process.wait(10) == 99


async def test_a_write_that_is_sent_again_until_it_is_answered_has_one_effect(
    ana: Person, settings: Settings, tmp_path: Path
) -> None:
    expected: list[str] = []
    for point, done in DEATHS.items():
        write: dict[str, Any] = {"json": {"title": point}, "headers": {"Idempotency-Key": point}}
        await send_in_vain(ana, point, settings, tmp_path, "POST", "/todos", **write)
        async with applications.started(settings) as ana.client:
            assert await titles(ana) == ([point, *expected] if done else expected)
            answers = [await ana.post("/todos", **write) for _ in range(2)]
            assert [answer.status_code for answer in answers] == [201, 201]
            assert [answer.headers.get("idempotent-replayed") for answer in answers] == [
                "true" if done else None,
                "true",
            ]
            assert answers[0].content == answers[1].content
            assert answers[0].headers["location"] == answers[1].headers["location"]
            expected.insert(0, point)
            assert await titles(ana) == expected


async def test_a_todo_that_is_put_until_it_is_answered_is_there_once(
    ana: Person, settings: Settings, tmp_path: Path
) -> None:
    path, body = f"/todos/{uuid4()}", {"title": "x"}
    await send_in_vain(ana, "db.after_commit", settings, tmp_path, "PUT", path, json=body)
    async with applications.started(settings) as ana.client:
        assert (await ana.put(path, body)).status_code == 200
        assert await titles(ana) == ["x"]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_workers_share_the_keys(ana: Person, settings: Settings, tmp_path: Path) -> None:
    new_connections = {"Connection": "close"}
    with servers.serve(settings, tmp_path, "--workers", "2") as server:
        async with httpx2.AsyncClient(
            base_url=server.base_url, headers=new_connections, timeout=30, trust_env=False
        ) as ana.client:
            for number in range(10):
                keyed = {"Idempotency-Key": f"{number}"}
                answers = {(await ana.post("/todos", {"title": f"{number}"}, headers=keyed)).content for _ in range(4)}
                assert len(answers) == 1
            assert len(await titles(ana)) == 10
