"""A copy of a list that is kept by its events alone, as a client keeps one.

`follow` is what docs/events.md tells a client to do with the todos of several lists; a `Copy` of one list is strict.
"""

from dataclasses import dataclass, field
from typing import Any

from tests.support.people import Person

type Json = dict[str, Any]


@dataclass
class Copy:
    """`revision` and `seen`: the last event that was applied, and how many were."""

    home: Json = field(default_factory=dict)
    members: dict[str, Json] = field(default_factory=dict)
    todos: dict[str, Json] = field(default_factory=dict)
    deleted: bool = False
    revision: int = 0

    def apply(self, event: Json) -> None:
        assert event["revision"] == self.revision + 1, f"{event['revision']} came after {self.revision}"
        self.revision += 1
        subject, _, what = event["kind"].partition(".")
        data = event["data"]
        if subject == "todo":
            self._apply_to_todo(data)
        elif subject == "member":
            self._apply_to_member(what, data)
        else:
            self.deleted = what == "deleted"
            self.home = data.get("list", self.home)

    def _apply_to_member(self, what: str, data: Json) -> None:
        if what == "removed":
            del self.members[data["user_id"]]
            return
        member = data["member"]
        before = self.members.get(member["user"]["id"])
        assert (what == "added", data["changes"] is None) == (before is None, before is None)
        if before is not None:
            assert data["changes"] == {
                name: {"from": before[name], "to": value} for name, value in member.items() if before[name] != value
            }
        self.members[member["user"]["id"]] = member

    def _apply_to_todo(self, data: Json) -> None:
        if "todo" not in data:
            # Of any kind: what was purged later has left nothing but its id in all of its events.
            self.todos.pop(data["todo_id"], None)
            return
        todo = data["todo"]
        before = self.todos.get(todo["id"])
        changes = data.get("changes", {})
        assert (before is None) == ("changes" not in data)
        if before is not None:
            assert todo["version"] == before["version"] + 1
            assert changes == {
                name: {"from": before[name], "to": value}
                for name, value in todo.items()
                if before[name] != value and name not in {"version", "updated_at"}
            }
        self.todos[todo["id"]] = todo

    def in_order(self) -> list[Json]:
        return sorted(self.todos.values(), key=lambda todo: todo["position"].encode())


def follow(todos: dict[str, Json], event: Json) -> None:
    """Apply an event to the copies of todos of several lists, whose logs have no common order."""
    data = event["data"]
    if "todo" in data:
        todo = data["todo"]
        if todo["id"] not in todos or todos[todo["id"]]["version"] < todo["version"]:
            todos[todo["id"]] = todo
    elif "todo_id" in data and todos.get(data["todo_id"], {}).get("list_id") == event["list_id"]:
        del todos[data["todo_id"]]


async def catch_up(person: Person, list_id: str, copy: Copy, limit: int = 100) -> int:
    """One call; apply what it brings. The revision that it tells."""
    epoch = await epoch_of(person)
    answer = await person.get(f"/lists/{list_id}/events?after={epoch}:{copy.revision}&limit={limit}")
    assert answer.status_code == 200, answer.text
    page = answer.json()
    for event in page["events"]:
        copy.apply(event)
    assert page["more"] == (copy.revision < page["revision"])
    return int(page["revision"])


async def fold(person: Person, list_id: str, limit: int = 100) -> Copy:
    """All events of a list over nothing."""
    copy = Copy()
    while await catch_up(person, list_id, copy, limit) > copy.revision:
        pass
    return copy


async def epoch_of(person: Person) -> str:
    etag: str = (await person.get(f"/lists/{person.inbox_id}")).headers["etag"]
    return etag.strip('"').partition(".")[0]


async def shown(person: Person, list_id: str) -> tuple[Json, list[Json]]:
    """A list as it stands in events, and its todos, as GET shows them."""
    the_list = (await person.get(f"/lists/{list_id}")).json()
    del the_list["role"]
    todos: list[Json] = []
    cursor = ""
    while True:
        page = (await person.get(f"/todos?list_id={list_id}&size=200{cursor}")).json()
        todos += page["items"]
        if page["next_cursor"] is None:
            return the_list, todos
        cursor = f"&cursor={page['next_cursor']}"
