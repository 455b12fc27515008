"""A client that keeps copies of its lists by the rules of the contract, and nothing more."""

import itertools
from dataclasses import dataclass, field
from typing import Any

from tests.support.people import Person

type Json = dict[str, Any]


@dataclass
class Copy:
    home: Json = field(default_factory=dict)
    members: dict[str, Json] = field(default_factory=dict)


@dataclass
class Phone:
    """`revisions`: of the copies that are whole. Todos are kept by id, wherever they are."""

    person: Person
    epoch: str | None = None
    revisions: dict[str, int] = field(default_factory=dict)
    lists: dict[str, Copy] = field(default_factory=dict)
    todos: dict[str, Json] = field(default_factory=dict)

    async def sync(self, pages: int | None = None, sizes: list[int] | None = None) -> list[Json]:
        """Until there is nothing more, or no network after some pages; all deltas that came.

        `sizes` learns how big the answers are.
        """
        came: list[Json] = []
        cursor = None
        for list_id in self.lists.keys() - self.revisions.keys():
            self._drop(list_id)  # a snapshot that did not come to its end
        for _ in itertools.count() if pages is None else range(pages):
            answer = await self.person.post(
                "/sync", {"epoch": self.epoch, "revisions": self.revisions, "continue": cursor}
            )
            assert answer.status_code == 200, answer.text
            if sizes is not None:
                sizes.append(len(answer.content))
            body = answer.json()
            if body["epoch"] != self.epoch:
                for list_id in list(self.lists):
                    self._drop(list_id)
                self.epoch = body["epoch"]
            for delta in body["deltas"]:
                self.apply(delta)
            came += body["deltas"]
            cursor = body["continue"]
            if cursor is None:
                return came
            assert body["deltas"], "a call that brings nothing and asks for another would never end"
        return came

    def apply(self, delta: Json) -> None:
        list_id = delta["list_id"]
        if delta["mode"] == "gone":
            self._drop(list_id)
            return
        if delta["mode"] == "events":
            expected = range(self.revisions[list_id] + 1, delta["revision"] + 1)
            assert [event["revision"] for event in delta["events"]] == list(expected)
            for event in delta["events"]:
                self._apply_event(event)
            self.revisions[list_id] = delta["revision"]
            return
        if delta["first"]:
            self._drop(list_id)
        members = {member["user"]["id"]: member for member in delta["members"]}
        self.lists[list_id] = Copy(_without_role(delta["list"]), members)
        for todo in delta["todos"]:
            self._put(todo)
        if delta["last"]:
            self.revisions[list_id] = delta["revision"]

    def _drop(self, list_id: str) -> None:
        self.revisions.pop(list_id, None)
        self.lists.pop(list_id, None)
        self.todos = {todo_id: todo for todo_id, todo in self.todos.items() if todo["list_id"] != list_id}

    def _apply_event(self, event: Json) -> None:
        list_id, data = event["list_id"], event["data"]
        copy = self.lists[list_id]
        if "todo" in data:
            self._put(data["todo"])
        elif "todo_id" in data:
            if self.todos.get(data["todo_id"], {}).get("list_id") == list_id:
                del self.todos[data["todo_id"]]
        elif "list" in data:
            copy.home = data["list"]
        elif "member" in data:
            copy.members[data["member"]["user"]["id"]] = data["member"]
        elif event["kind"] == "member.removed":
            copy.members.pop(data["user_id"], None)

    def _put(self, todo: Json) -> None:
        present = self.todos.get(todo["id"])
        if present is None or todo["version"] >= present["version"]:
            self.todos[todo["id"]] = todo


async def truth(person: Person) -> Phone:
    """What the server shows to this person, by GET alone, in the form of a copy."""
    seen = Phone(person)
    homes = [home for archived in ("false", "true") for home in await _all(person, f"/lists?archived={archived}")]
    for home in homes:
        seen.lists[home["id"]] = Copy(_without_role(home))
        for todo in await _all(person, f"/todos?list_id={home['id']}"):
            seen.todos[todo["id"]] = todo
    return seen


def _without_role(home: Json) -> Json:
    """A role is told to the person alone, in the user stream."""
    return {name: value for name, value in home.items() if name != "role"}


async def _all(person: Person, path: str) -> list[Json]:
    items: list[Json] = []
    page = f"{path}&size=200"
    while True:
        body = (await person.get(page)).json()
        items += body["items"]
        if body["next_cursor"] is None:
            return items
        page = f"{path}&size=200&cursor={body['next_cursor']}"
