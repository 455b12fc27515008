"""A copy of one list, kept by what `follow` brings."""

from doable.client.wire import Change, Event, Member, Position, Snapshot, Todo, TodoList


class Copy:
    """`position`: up to which it is right; `deleted`: whether the list is."""

    def __init__(self) -> None:
        self.position: Position | None = None
        self.home: TodoList = {}
        self.members: dict[str, Member] = {}
        self.todos: dict[str, Todo] = {}
        self.deleted = False

    def apply(self, item: Snapshot | Change) -> None:
        if isinstance(item, Snapshot):
            self.home = item.home
            self.members = {member["user"]["id"]: member for member in item.members}
            self.todos = {todo["id"]: todo for todo in item.todos}
            self.deleted = False
        else:
            self._fold(item.event)
        self.position = item.position

    def in_order(self) -> list[Todo]:
        return sorted(self.todos.values(), key=lambda todo: todo["position"].encode())

    def _fold(self, event: Event) -> None:
        data, kind = event["data"], event["kind"]
        if "todo" in data:
            self._put(data["todo"])
        elif "todo_id" in data:  # whatever the kind: of what was purged since, all events have nothing but the id
            self.todos.pop(data["todo_id"], None)
        elif "member" in data:
            self.members[data["member"]["user"]["id"]] = data["member"]
        elif kind == "member.removed":
            self.members.pop(data["user_id"], None)
        elif kind.startswith("list."):
            self.deleted = kind == "list.deleted"
            self.home = {**self.home, **data.get("list", {})}

    def _put(self, todo: Todo) -> None:
        """Unless the copy is newer: a snapshot has what was done while it was read."""
        present = self.todos.get(todo["id"])
        if present is None or present["version"] <= todo["version"]:
            self.todos[todo["id"]] = todo
