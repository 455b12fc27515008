"""What is asked of every server, as the bytes of requests."""

import json
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bench.load import UNIQUE
from bench.world import Person

API = "/api/v1"
PEOPLE = 64
"""As many ask, in turn by chance; half of them only read, so that what they read stays as it is."""
_EACH = 8
_SEED = 22

type Make = Callable[[Person, random.Random], bytes]


class Operation(NamedTuple):
    """`make` makes one request of a person; a request with a `UNIQUE` in it is another one each time."""

    name: str
    make: Make
    writes: bool = False

    def requests(self, people: Sequence[Person]) -> list[bytes]:
        chance = random.Random(_SEED)
        half = PEOPLE // 2
        asking = people[half:PEOPLE] if self.writes else people[:half]
        return [self.make(person, chance) for person in asking for _ in range(_EACH)]


def _get_one(person: Person, chance: random.Random) -> bytes:
    return request(person.token, "GET", f"/todos/{chance.choice(person.todo_ids)}")


def _get_page(person: Person, _: random.Random) -> bytes:
    return request(person.token, "GET", "/todos?size=20")


def _post(person: Person, _: random.Random) -> bytes:
    return request(person.token, "POST", "/todos", {"title": "Buy milk and bread", "priority": 2})


def _post_with_key(person: Person, _: random.Random) -> bytes:
    body = {"title": "Buy milk and bread", "priority": 2}
    return request(person.token, "POST", "/todos", body, f"Idempotency-Key: {UNIQUE.decode()}")


def _patch(person: Person, chance: random.Random) -> bytes:
    body = {"title": f"Buy milk {UNIQUE.decode()}"}
    return request(person.token, "PATCH", f"/todos/{chance.choice(person.todo_ids)}", body)


def request(token: str, method: str, path: str, body: object = None, *headers: str) -> bytes:
    content = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
    lines = [f"{method} {API}{path} HTTP/1.1", "Host: 127.0.0.1", "Accept: */*", "User-Agent: bench"]
    lines += [f"Authorization: Bearer {token}"] * bool(token)
    lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"] * bool(content)
    return "\r\n".join([*lines, *headers, "", ""]).encode() + content


GET_ONE = Operation("GET one", _get_one)
GET_PAGE = Operation("GET 20", _get_page)
POST = Operation("POST", _post, writes=True)
POST_WITH_KEY = Operation("POST with a key", _post_with_key, writes=True)
PATCH = Operation("PATCH", _patch, writes=True)
