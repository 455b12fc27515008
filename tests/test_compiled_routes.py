"""Every request gets the same answer and has the same effect, whether our routes are compiled or not."""

import asyncio
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from doable.app import WRAPS, create_api
from doable.batch.schemas import OPERATIONS_EXAMPLE
from doable.compiled_routes import verdicts
from doable.core import clock
from doable.settings import Settings
from tests.support import applications, configuration, databases
from tests.support.people import PASSWORD, Person, register
from tests.support.twins import Clock, Sent, Server
from tests.test_hostile_input import TEXTS, VALUES

DOCUMENT: dict[str, Any] = create_api(Settings(_env_file=None)).openapi()
OPERATIONS = [
    (method.upper(), path, operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if not path.endswith("/stream")  # its answer has no end, and it is not compiled
]
HOT = {
    "GET /lists", "GET /todos", "GET /todos/{todo_id}", "PATCH /todos/{todo_id}", "POST /todos",
    "PUT /todos/{todo_id}/completion", "GET /lists/{list_id}/events",
}  # fmt: skip
TODOS = [f"0190f5a0-7c3e-7b1a-9d2c-0000000000{n:02x}" for n in range(4)]
LISTS = [f"0190f5a0-7c3e-7b1a-9d2c-1111111111{n:02x}" for n in range(2)]
NEW = [f"0190f5a0-7c3e-7b1a-9d2c-2222222222{n:02x}" for n in range(3)]
GOOD = {
    "list_id": [*LISTS, ",".join(LISTS)],
    "completed": ["true", "false"],
    "archived": ["true", "false"],
    "priority": ["1", "3,1"],
    "sort": ["id", "-title", "position", "priority"],
    "page": ["1", "2"],
    "size": ["1", "2", "100"],
    "limit": ["1", "1000"],
}
HEADERS = {
    "If-Match": ["*", '"x.1"', "W/", '"a', 'W/"x.1", "y.2-gzip"'],
    "If-None-Match": ["*", '"x.1"', "nonsense"],
    "Idempotency-Key": ["one", "two", "é", "x" * 256],
    "Accept": ["application/problem+json", "text/html"],
    "Content-Type": ["text/plain", "application/merge-patch+json", "application/json; charset=latin-1", ""],
    "Authorization": ["", "Bearer", "Bearer x", "Basic eDp4", "bearer dbl_x", "Bearer a b"],
    "Content-Encoding": ["gzip"],
    "Accept-Encoding": ["gzip"],
}

# What is asserted names the request; the shortest sequence that leads to it would take minutes to find.
WITHOUT_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)


@pytest.fixture(scope="module")
def seeded(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A database with a person, lists and todos in it, and the person's credential."""
    folder = tmp_path_factory.mktemp("seeded")
    url = databases.copy_sqlite(sqlite_template, folder)

    async def seed() -> str:
        async with applications.started(configuration.make_settings(url, folder)) as client:
            ana, ben = await register(client, "ana"), await register(client, "ben")
            await _fill(ana, ben)
            return str(ana.tokens["access_token"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now", Clock().now)
        token = asyncio.run(seed())
    return folder / "doable.db", token


async def _fill(ana: Person, ben: Person) -> None:
    await ana.list("Work", id=LISTS[0])
    await ben.list("Ben's", id=LISTS[1])
    await ana.todo("Buy milk", id=TODOS[0])
    await ana.todo("Write", id=TODOS[1], list_id=LISTS[0], priority=1)
    await ana.todo("Forgotten", id=TODOS[2])
    await ana.delete(f"/todos/{TODOS[2]}")
    await ben.todo("Ben's", id=TODOS[3], list_id=LISTS[1])


def _texts(*good: str) -> st.SearchStrategy[str]:
    """Mostly what is acceptable, sometimes what is hostile."""
    return st.one_of(*[st.sampled_from(good)] * 5, st.sampled_from(TEXTS))


@st.composite
def _bodies(draw: st.DrawFn, operation: dict[str, Any]) -> str | None:
    """An example of the document, with some members left out and some replaced; or anything."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None or draw(st.integers(0, 9)) == 0:
        return draw(st.none() | st.sampled_from(VALUES))
    schema = content["schema"]
    reference = schema.get("$ref") or next(option["$ref"] for option in schema["anyOf"] if "$ref" in option)
    sound = DOCUMENT["components"]["schemas"][reference.rpartition("/")[2]]["examples"][0]
    members = []
    for name, value in sound.items():
        kept: Any = value
        if "password" in name:
            kept = PASSWORD
        elif name.endswith("id"):
            kept = draw(st.sampled_from(LISTS if name == "list_id" else NEW))
        choice = draw(st.integers(0, 9))
        if choice > 1:
            members.append(f"{json.dumps(name)}: {json.dumps(kept)}")
        elif choice == 1:
            members.append(f"{json.dumps(name)}: {draw(st.sampled_from(VALUES))}")
    return "{" + ", ".join(members) + "}"


@st.composite
def _requests(draw: st.DrawFn) -> Sent:
    method, path, operation = OPERATIONS[draw(st.integers(0, len(OPERATIONS) - 1))]
    method = draw(st.sampled_from([method] * 18 + ["HEAD", "PATCH"]))
    ids = {"todo_id": _texts(*TODOS, *NEW), "list_id": _texts(*LISTS, *NEW)}
    names = [parameter["name"] for parameter in operation.get("parameters", ())]
    target = path.format_map(
        {name: draw(ids.get(name, _texts(*NEW))) or "%20" for name in names if f"{{{name}}}" in path}
    )
    if queries := [name for name in names if name in GOOD or name in {"after", "cursor"}]:
        chosen = draw(st.lists(st.sampled_from([*queries, "nonsense"]), max_size=3))
        target += "?" + "&".join(f"{name}={draw(_texts(*GOOD.get(name, ['x'])))}" for name in chosen)
    headers = {"Authorization": "TOKEN", "X-Request-ID": "r"}
    body = draw(_bodies(operation))
    if body is not None:
        headers["Content-Type"] = "application/json"
    for name in draw(st.lists(st.sampled_from([*HEADERS, *["If-None-Match", "Idempotency-Key"] * 2]), max_size=2)):
        headers[name] = draw(st.sampled_from(HEADERS[name]))
    return Sent(method, target, headers, None if body is None else body.encode("utf-8", "surrogatepass"))


def _sent(method: str, path: str, body: object = None, **headers: str) -> Sent:
    content = None if body is None else json.dumps(body).encode()
    kind = {} if body is None else {"Content-Type": "application/json"}
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    given = {"Authorization": "TOKEN", "X-Request-ID": "r", **kind, **names}
    return Sent(method, f"/api/v1{path}", given, content)


DAY = [
    _sent("GET", "/todos"),
    _sent("GET", f"/todos?list_id={LISTS[0]}"),
    _sent("GET", f"/todos/{TODOS[0]}"),
    _sent("GET", f"/todos/{TODOS[0]}", If_None_Match="*"),
    _sent("GET", f"/todos/{TODOS[3]}"),
    _sent("POST", "/todos", {"title": "x", "id": NEW[0]}, Idempotency_Key="one"),
    _sent("POST", "/todos", {"title": "x", "id": NEW[0]}, Idempotency_Key="one"),
    _sent("POST", "/todos", {"title": "y", "id": NEW[0]}, Idempotency_Key="one"),
    _sent("POST", "/todos", {"title": "x", "id": NEW[0]}),
    _sent("PATCH", f"/todos/{NEW[0]}", {"title": "z"}, If_Match='"x.1"'),
    _sent("PATCH", f"/todos/{NEW[0]}", {"title": "z"}),
    _sent("PUT", f"/todos/{NEW[0]}/completion"),
    _sent("PUT", f"/todos/{NEW[1]}", {"title": "z"}),
    _sent("PUT", f"/todos/{NEW[1]}", {"title": "z"}),
    _sent("DELETE", f"/todos/{NEW[1]}"),
    _sent("GET", f"/lists/{LISTS[0]}/events"),
    _sent("POST", "/lists", {"name": "Home"}),
    _sent("GET", "/lists"),
    _sent("DELETE", f"/lists/{LISTS[0]}"),
    _sent("GET", "/nowhere"),
    _sent("GET", "/users/me"),
    _sent("POST", "/auth/login", {"login": "ana", "password": PASSWORD}),
    _sent("POST", "/auth/login", {"login": "ana", "password": "wrong and long enough"}),
    _sent("HEAD", "/todos"),
    _sent("TRACE", "/todos"),
    *[_sent("POST", "/batch", {"operations": OPERATIONS_EXAMPLE})] * 5,  # compressed, and full of random ids
]


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=WITHOUT_SHRINKING,
    suppress_health_check=list(HealthCheck),
)
@given(sequence=st.lists(_requests(), min_size=12, max_size=30))
@example(sequence=DAY)
def test_compiled_or_not_is_no_difference(seeded: tuple[Path, str], sequence: list[Sent]) -> None:
    asyncio.run(_compare(*seeded, sequence))


async def _compare(template: Path, token: str, sequence: list[Sent]) -> None:
    time = Clock()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now", time.now)
        async with (
            Server(template, Path(folder, "plain"), compiled_routes=False) as plain,
            Server(template, Path(folder, "compiled"), compiled_routes=True) as compiled,
        ):
            for sent in sequence:
                time.tick()
                given = sent.headers["Authorization"].replace("TOKEN", f"Bearer {token}")
                whole = sent._replace(headers={**sent.headers, "Authorization": given})
                assert await compiled.answer(whole) == await plain.answer(whole), sent
        assert compiled.rows() == plain.rows()


def test_the_hot_routes_are_compiled() -> None:
    compiled = {name for name, reason in _verdicts() if reason is None}
    assert compiled >= HOT


def test_what_is_not_compiled_is_named_here() -> None:
    assert {name for name, reason in _verdicts() if reason is not None} == {
        "POST /auth/password-reset",
        "GET /lists/{list_id}/events/stream",
    }


def _verdicts() -> Iterator[tuple[str, str | None]]:
    for verdict in verdicts(create_api(Settings(_env_file=None)), WRAPS):
        if verdict.path.startswith("/api/v1"):
            for method in verdict.methods:
                yield f"{method} {verdict.path.removeprefix('/api/v1')}", verdict.reason
