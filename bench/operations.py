"""What is asked of every server, as the bytes of requests."""

import json
import random
import socket
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from bench import contestants
from bench.load import CONNECTIONS, UNIQUE, Load
from bench.processes import Server
from bench.world import Person
from tests.support.people import API, PASSWORD

PEOPLE = 64
"""As many ask, by turns of chance; half of them only read, so that what they read stays as it is."""
CHANGES = 100
_EACH = 16
_SEED = 22
_LOGINS = 4  # at once: they wait for one thread

type Make = Callable[[Person, random.Random], bytes]


class World(NamedTuple):
    """Who asks, and the request of somebody whose copy lacks `CHANGES` events of a list."""

    people: Sequence[Person]
    sync: bytes

    @property
    def readers(self) -> Sequence[Person]:
        return self.people[: PEOPLE // 2]

    @property
    def writers(self) -> Sequence[Person]:
        return self.people[PEOPLE // 2 : PEOPLE]


class Operation(NamedTuple):
    """`requests` with a `UNIQUE` in them are others each time; `of`: the servers that have it, where not all do."""

    name: str
    requests: Callable[[World], list[bytes]]
    of: tuple[str, ...] | None = None
    connections: int = CONNECTIONS

    def load(self, world: World, seconds: float) -> Load:
        return Load(self.requests(world), seconds, self.connections)


def request(token: str, method: str, path: str, body: object = None, *headers: str) -> bytes:
    content = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
    lines = [f"{method} {API}{path} HTTP/1.1", "Host: 127.0.0.1", "Accept: */*", "User-Agent: bench"]
    lines += [f"Authorization: Bearer {token}"] * bool(token)
    lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"] * bool(content)
    return "\r\n".join([*lines, *headers, "", ""]).encode() + content


def ask(server: Server, asked: bytes) -> tuple[int, dict[str, Any]]:
    """One request outside a load, as it is: its status and what its JSON says."""
    closing = asked.replace(b"\r\n", b"\r\nConnection: close\r\n", 1).replace(UNIQUE, b"0" * len(UNIQUE))
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(closing)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, content = received.partition(b"\r\n\r\n")
    is_json = b"application/json" in head.lower()
    answer: dict[str, Any] = json.loads(content) if is_json else {"text": content.decode(errors="replace")}
    return int(head[9:12]), answer


def get_one(person: Person, chance: random.Random) -> bytes:
    return request(person.token, "GET", f"/todos/{chance.choice(person.todo_ids)}")


def get_page(person: Person, _: random.Random) -> bytes:
    return request(person.token, "GET", "/todos?size=20")


def post(person: Person, _: random.Random) -> bytes:
    return request(person.token, "POST", "/todos", {"title": "Buy milk and bread", "priority": 2})


def patch(person: Person, chance: random.Random) -> bytes:
    body = {"title": f"Buy milk {UNIQUE.decode()}"}
    return request(person.token, "PATCH", f"/todos/{chance.choice(person.todo_ids)}", body)


def _post_with_key(person: Person, _: random.Random) -> bytes:
    body = {"title": "Buy milk and bread", "priority": 2}
    return request(person.token, "POST", "/todos", body, f"Idempotency-Key: {UNIQUE.decode()}")


def _login(person: Person, _: random.Random) -> bytes:
    return request("", "POST", "/auth/login", {"login": person.username, "password": PASSWORD})


def _of_each(people: Sequence[Person], make: Make) -> list[bytes]:
    chance = random.Random(_SEED)
    return [make(person, chance) for person in people for _ in range(_EACH)]


def _mix(world: World) -> list[bytes]:
    chance = random.Random(_SEED)
    kinds = (
        (world.readers, get_one, 65),
        (world.readers, get_page, 23),
        (world.writers, post, 9),
        (world.writers, patch, 3),
    )
    return [make(chance.choice(people), chance) for people, make, share in kinds for _ in range(share * 5)]


def behind(server: Server, person: Person) -> bytes:
    """Make `CHANGES` events in a person's inbox; the request that asks for them."""
    home = str(person.inbox_id)
    _, before = ask(server, request(person.token, "POST", "/sync", {}))
    for number in range(CHANGES):
        status, _ = ask(server, request(person.token, "POST", "/todos", {"title": f"Todo {number}"}))
        if status != HTTPStatus.CREATED:
            raise RuntimeError(f"{server.name} answered {status}")
    return request(person.token, "POST", "/sync", {"epoch": before["epoch"], "revisions": {home: len(person.todo_ids)}})


GET_ONE = Operation("GET one", lambda world: _of_each(world.readers, get_one))
GET_PAGE = Operation("GET 20", lambda world: _of_each(world.readers, get_page))
POST = Operation("POST", lambda world: _of_each(world.writers, post))
POST_WITH_KEY = Operation("POST with a key", lambda world: _of_each(world.writers, _post_with_key), contestants.DOABLE)
PATCH = Operation("PATCH", lambda world: _of_each(world.writers, patch))
MIX = Operation("the mix", _mix)
SYNC = Operation("sync of 100 changes", lambda world: [world.sync], contestants.DOABLE)
_HASHING = (*contestants.DOABLE, contestants.TEMPLATE)
LOGIN = Operation("login", lambda world: _of_each(world.readers, _login), _HASHING, _LOGINS)
SHOWN = GET_ONE, GET_PAGE, POST, POST_WITH_KEY
OTHERS = PATCH, MIX, SYNC, LOGIN
