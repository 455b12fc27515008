"""Phones that go offline, write, repeat themselves, whose owners are removed and come back: all copies converge."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from doable.app import create_app
from doable.core.limits import Budget
from doable.settings import Settings
from doable.sync import deltas
from tests.support import asgi, configuration, people, phones, sharing
from tests.support.people import Person
from tests.support.phones import Phone

NAMES = ("ana", "bob", "cid")
LISTS = 3

who = st.sampled_from(range(len(NAMES)))
which_list = st.integers(0, LISTS - 1)
which_todo = st.integers(0, 30)


class World:
    """The server; each example gets people and lists of its own."""

    def __init__(self, configured: Settings) -> None:
        self.runner = asyncio.Runner()
        self.app = asgi.Running(create_app(configured))
        self.runner.run(self.app.__aenter__())
        self.client = httpx2.AsyncClient(transport=asgi.Transport(self.app), base_url="http://testserver")
        self.number = 0

    def close(self) -> None:
        self.runner.run(self.app.__aexit__())
        self.runner.close()

    def run[T](self, doing: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(doing)

    def register(self) -> list[Person]:
        self.number += 1
        return [self.run(people.register(self.client, f"{name}{self.number}")) for name in NAMES]


class Machine(RuleBasedStateMachine):
    """What comes back of a write does not matter here: refused or not, the copies have to show what is there."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.people = self.world.register()
        self.owner = self.people[0]
        self.lists = [self.world.run(self.owner.list(f"List {n}"))["id"] for n in range(LISTS)]
        self.todos: list[str] = []
        self.phones = [Phone(person) for person in self.people]
        self.world.run(self.phones[0].sync())
        self.waiting: list[list[tuple[str, str, Any, str]]] = [[] for _ in self.people]
        self.offline = [False for _ in self.people]

    @rule(person=who, home=which_list, below=st.none() | which_todo)
    def create(self, person: int, home: int, below: int | None) -> None:
        body: dict[str, Any] = {"title": f"todo {len(self.todos)}", "list_id": self.lists[home]}
        if below is not None and self.todos:
            body = {"title": body["title"], "parent_id": self._todo(below)}
        self.todos.append(str(uuid4()))
        self._write(person, "PUT", f"/todos/{self.todos[-1]}", body)

    @rule(
        person=who, todo=which_todo, change=st.sampled_from(["title", "priority", "due", "labels"]), n=st.integers(1, 5)
    )
    def update(self, person: int, todo: int, change: str, n: int) -> None:
        values = {"title": f"title {n}", "priority": n, "due": {"date": f"2026-12-0{n}"}, "labels": [f"label {n}"]}
        self._write(person, "PATCH", f"/todos/{self._todo(todo)}", {change: values[change]})

    @rule(person=who, todo=which_todo, method=st.sampled_from(["PUT", "DELETE"]))
    def complete(self, person: int, todo: int, method: str) -> None:
        self._write(person, method, f"/todos/{self._todo(todo)}/completion")

    @rule(person=who, todo=which_todo)
    def delete(self, person: int, todo: int) -> None:
        self._write(person, "DELETE", f"/todos/{self._todo(todo)}")

    @rule(person=who, todo=which_todo)
    def restore(self, person: int, todo: int) -> None:
        self._write(person, "PUT", f"/todos/{self._todo(todo)}/restoration")

    @rule(todo=which_todo)
    def purge(self, todo: int) -> None:
        self._write(0, "DELETE", f"/trash/{self._todo(todo)}")

    @rule(person=who, todo=which_todo, home=st.none() | which_list, below=st.none() | which_todo)
    def move(self, person: int, todo: int, home: int | None, below: int | None) -> None:
        place: dict[str, Any] = {"parent_id": None if below is None else self._todo(below)}
        if home is not None:
            place["list_id"] = self.lists[home]
        self._write(person, "PUT", f"/todos/{self._todo(todo)}/position", place)

    @rule(
        person=who, home=which_list, what=st.sampled_from([{"name": "other"}, {"archived": True}, {"archived": False}])
    )
    def change_list(self, person: int, home: int, what: dict[str, Any]) -> None:
        self._write(person, "PATCH", f"/lists/{self.lists[home]}", what)

    @rule(home=which_list, gone=st.booleans())
    def delete_list(self, home: int, *, gone: bool) -> None:
        path = f"/lists/{self.lists[home]}"
        self._write(0, *(("DELETE", path) if gone else ("PUT", f"{path}/restoration")))

    @rule(person=st.sampled_from([1, 2]), home=which_list, role=st.sampled_from(["editor", "viewer"]))
    def share(self, person: int, home: int, role: str) -> None:
        async def invited() -> None:
            owner, list_id = self.owner, self.lists[home]
            body = {"email": self.people[person].user["email"], "role": role}
            answer = await owner.post(f"/lists/{list_id}/invitations", body)
            if answer.status_code == 201:
                token = answer.json()["url"].partition("#token=")[2]
                await self.people[person].post("/invitations/acceptance", {"token": token})

        self.world.run(invited())

    @rule(person=st.sampled_from([1, 2]), home=which_list, role=st.sampled_from(["editor", "viewer", "none"]))
    def change_role(self, person: int, home: int, role: str) -> None:
        path = f"/lists/{self.lists[home]}/members/{self.people[person].user['id']}"
        method, body = ("DELETE", None) if role == "none" else ("PATCH", {"role": role})
        self.world.run(self.owner.request(method, path, json=body))

    @rule(person=who, offline=st.booleans())
    def lose_or_find_the_network(self, person: int, *, offline: bool) -> None:
        self.offline[person] = offline
        if not offline:
            self._send(person)

    @rule(person=who, pages=st.integers(1, 3))
    def sync_in_part(self, person: int, pages: int) -> None:
        if not self.offline[person]:
            self.world.run(self.phones[person].sync(pages))

    def teardown(self) -> None:
        for person in range(len(self.people)):
            self._send(person)
        for phone in self.phones:
            self.world.run(phone.sync())
            seen = self.world.run(phones.truth(phone.person))
            assert phone.todos == seen.todos
            assert {list_id: copy.home for list_id, copy in phone.lists.items()} == {
                list_id: copy.home for list_id, copy in seen.lists.items()
            }
            for list_id, copy in phone.lists.items():
                there = self.world.run(sharing.members(phone.person, list_id))
                assert {one["user"]["username"]: one["role"] for one in copy.members.values()} == there

    def _todo(self, n: int) -> str:
        return self.todos[n % len(self.todos)] if self.todos else str(uuid4())

    def _write(self, person: int, method: str, path: str, body: Any = None) -> None:
        self.waiting[person].append((method, path, body, str(uuid4())))
        if not self.offline[person]:
            self._send(person)

    def _send(self, person: int) -> None:
        """Every second write is sent twice, as after an answer that was lost."""
        for n, (method, path, body, key) in enumerate(self.waiting[person]):
            for _ in range(1 + n % 2):
                sent = self.people[person].request(method, path, json=body, headers={"Idempotency-Key": key})
                answer = self.world.run(sent)
                assert answer.status_code < 500, answer.text
        self.waiting[person].clear()


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_copies_converge(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(deltas, "MOST_ITEMS", 4)
    monkeypatch.setattr("doable.lists.operations.invitations.BUDGET", Budget(1_000_000, 60))
    world = World(configuration.make_settings(database_url, tmp_path / "data"))
    machine: Any = type("InWorld", (Machine,), {"world": world})
    examples = 25 if "sqlite" in request.node.name else 10
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        world.close()
