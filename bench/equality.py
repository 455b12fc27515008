"""Whether servers do equal work: before it is measured, each is asked the same and has to answer the same rows."""

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any

from bench.operations import World, ask, request
from bench.processes import Server

_INSTANTS = {"completed_at", "created_at", "updated_at", "deleted_at", "at"}
_OWN = {"id", "position", "created_at", "updated_at"}
"""What a new todo has of the server that made it."""
TITLE = "The same everywhere"


class Unequal(Exception):
    """A server does other work than the first: nothing may be compared."""


def check(servers: Sequence[Server], world: World) -> None:
    """Raises `Unequal`. A write counts only if the next read finds it."""
    answers = [(server.name, _answers(server, world)) for server in servers]
    _, expected = answers[0]
    for name, answer in answers:
        for what, value in answer.items():
            if value != expected[what]:
                raise Unequal(f"{name}, {what}:\n{value}\ninstead of\n{expected[what]}")


def _answers(server: Server, world: World) -> dict[str, Any]:
    reader, writer = world.readers[0], world.writers[0]
    todo_id = reader.todo_ids[0]
    page = _asked(server, request(reader.token, "GET", "/todos?size=20"))
    before = _asked(server, request(writer.token, "GET", "/todos?size=1"))["total"]
    made = _asked(server, request(writer.token, "POST", "/todos", {"title": TITLE, "priority": 2}), HTTPStatus.CREATED)
    path = f"/todos/{made['id']}"
    changed = _asked(server, request(writer.token, "PATCH", path, {"title": TITLE.upper()}))
    kept = _asked(server, request(writer.token, "GET", path))
    after = _asked(server, request(writer.token, "GET", "/todos?size=1"))["total"]
    return {
        "GET one": _asked(server, request(reader.token, "GET", f"/todos/{todo_id}")),
        "GET 20": (page["items"], page["page"], page["size"], page["total"]),
        "POST": {name: value for name, value in made.items() if name not in _OWN},
        "PATCH": {name: value for name, value in changed.items() if name not in _OWN},
        "what PATCH has kept": kept == changed,
        "what POST has added": after - before,
        "a forged token": ask(server, request(reader.token[:-8] + "A" * 8, "GET", f"/todos/{todo_id}"))[0],
        "somebody else's todo": ask(server, request(writer.token, "GET", f"/todos/{todo_id}"))[0],
    }


def _asked(server: Server, asked: bytes, expected: HTTPStatus = HTTPStatus.OK) -> Any:
    status, answer = ask(server, asked)
    if status != expected:
        raise Unequal(f"{server.name} answers {status} to {asked!r}: {answer}\n{server.said()}")
    return _comparable(answer)


def _comparable(value: Any) -> Any:
    """Instants in milliseconds, however they are written."""
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: _instant(one) if name in _INSTANTS else _comparable(one) for name, one in value.items()}


def _instant(text: str | None) -> float | None:
    return None if text is None else int(datetime.fromisoformat(text).timestamp() * 1000)
