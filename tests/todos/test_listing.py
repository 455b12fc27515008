"""GET /todos: filters, orders, pages and cursors agree with a plain model in Python."""

import base64
import itertools
from typing import Any

import pytest

from doable.todos import shapes, statements
from doable.todos.statements import Filter
from tests.support.people import Person


async def _todos(ana: Person) -> list[dict[str, Any]]:
    """Two lists and the inbox, with ties in every field."""
    homes = [ana.inbox_id, (await ana.list("a"))["id"], (await ana.list("b"))["id"]]
    made = []
    for n, (home, title) in enumerate(itertools.product(homes, ["beta", "Alpha", "ßeta", "alpha", "Öl", "zed"])):
        todo = await ana.todo(title, list_id=home, priority=n % 3 + 1)
        if n % 4 == 0:
            todo = (await ana.put(f"/todos/{todo['id']}/completion")).json()
        made.append(todo)
    return made


async def _every(ana: Person, query: str, size: int = 4) -> list[dict[str, Any]]:
    """All pages by cursor."""
    found, cursor = [], None
    while True:
        suffix = f"&cursor={cursor}" if cursor else ""
        page = (await ana.get(f"/todos?size={size}&{query}{suffix}")).json()
        assert page["size"] == size
        assert (page["page"], page["total"] is None) == ((None, True) if cursor else (1, False))
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


async def test_every_order_is_that_of_the_model_and_no_page_skips_or_repeats(ana: Person) -> None:
    todos = await _todos(ana)
    keys: dict[str, Any] = {
        "created_at": lambda t: t["created_at"],
        "updated_at": lambda t: t["updated_at"],
        "priority": lambda t: t["priority"],
        "title": lambda t: t["title"].casefold().encode(),
        "position": lambda t: t["position"].encode(),
    }
    for name, key in keys.items():
        for reverse in (False, True):
            by_id = sorted(todos, key=lambda t: t["id"])
            expected = sorted(by_id, key=key, reverse=reverse)
            if reverse:  # ties stay in the order of their ids
                groups = itertools.groupby(expected, key=key)
                expected = [t for _, group in groups for t in sorted(group, key=lambda t: t["id"])]
            found = await _every(ana, f"sort={'-' if reverse else ''}{name}")
            assert [t["id"] for t in found] == [t["id"] for t in expected], name


async def test_the_newest_come_first_unless_one_list_is_named(ana: Person) -> None:
    todos = await _todos(ana)
    ids = [todo["id"] for todo in todos]
    assert [t["id"] for t in await _every(ana, "")] == sorted(ids, reverse=True)
    assert [t["id"] for t in await _every(ana, "sort=id")] == sorted(ids, reverse=True)
    assert [t["id"] for t in await _every(ana, "sort=-id")] == sorted(ids)
    mine = [t["id"] for t in todos if t["list_id"] == ana.inbox_id]
    assert [t["id"] for t in await _every(ana, f"list_id={ana.inbox_id}")] == mine


async def test_filters_combine(ana: Person) -> None:
    todos = await _todos(ana)
    lists = list(dict.fromkeys(t["list_id"] for t in todos))
    for chosen, completed, priorities in itertools.product(
        [[], lists[:1], lists[:2]], [None, True, False], [[], [1], [2, 3]]
    ):
        query = "&".join(
            [f"list_id={','.join(chosen)}"] * bool(chosen)
            + [f"completed={str(completed).lower()}"] * (completed is not None)
            + [f"priority={','.join(map(str, priorities))}"] * bool(priorities)
        )
        expected = {
            t["id"]
            for t in todos
            if (not chosen or t["list_id"] in chosen)
            and (completed is None or t["completed"] == completed)
            and (not priorities or t["priority"] in priorities)
        }
        found = await _every(ana, query, size=7)
        assert {t["id"] for t in found} == expected
        assert len(found) == len(expected)


async def test_pages_by_number_have_a_total_and_a_cursor_that_goes_on(ana: Person) -> None:
    await _todos(ana)
    first = (await ana.get("/todos?size=5&page=1")).json()
    last = (await ana.get("/todos?size=5&page=4")).json()
    beyond = (await ana.get("/todos?size=5&page=5")).json()
    assert (first["page"], first["size"], first["total"], len(first["items"])) == (1, 5, 18, 5)
    assert (len(last["items"]), last["next_cursor"]) == (3, None)
    assert (beyond["items"], beyond["total"], beyond["next_cursor"]) == ([], 18, None)
    second = (await ana.get("/todos?size=5&page=2")).json()
    by_cursor = (await ana.get(f"/todos?size=5&cursor={first['next_cursor']}")).json()
    assert by_cursor["items"] == second["items"]
    assert (by_cursor["page"], by_cursor["total"]) == (None, None)


async def test_a_cursor_that_is_bent_or_of_another_order_is_400(ana: Person) -> None:
    await _todos(ana)
    cursor: str = (await ana.get("/todos?size=5&sort=priority")).json()["next_cursor"]
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    forged = base64.urlsafe_b64encode(raw[:8] + raw[8:].replace(b"1", b"2")).decode().rstrip("=")
    for bad in (cursor[:-2], cursor + "AA", forged, "x", "%00", "a" * 1500, "é"):
        answer = await ana.get(f"/todos?size=5&sort=priority&cursor={bad}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_CURSOR"), bad
    other = await ana.get(f"/todos?size=5&sort=-priority&cursor={cursor}")
    assert other.json()["error"]["code"] == "INVALID_CURSOR"


@pytest.mark.parametrize(
    "query",
    [
        "page=0", "page=-1", "page=x", "page=9223372036854775808", "size=0", "size=201", "page=100000&size=200",
        "sort=due;drop", "sort=", "sort=--id", "completed=maybe", "priority=0", "priority=1,,2", "priority=6",
        "list_id=x", "list_id=", "page=1&cursor=x", "completed=yes", "completed=1", "page=1_0", "page=1.0",
        "page=%201", "size=%2B3", "nonsense=1", "q=", "q=%20%20", "q=%00", "q=a%0Ab",
        "q=" + "x" * 201, "q=" + "%20".join("abcdefghijklmnopqrstuvwxyz0123456"), "label=", "label=a,,b",
        "label=" + "x" * 51, "assignee=", "assignee=you", "assignee=me,none", "priority=1e0",
        "list_id=" + ",".join(["0190f5a0-7c3e-7b1a-9d2c-5f6e7a8b9c0d"] * 51),
    ],
)  # fmt: skip
async def test_a_bad_query_is_422_and_names_the_parameter(ana: Person, query: str) -> None:
    answer = await ana.get(f"/todos?{query}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["details"][0]["field"].startswith("query.")


async def test_archived_lists_show_their_todos_only_when_named(ana: Person) -> None:
    home = await ana.list("old")
    todo = await ana.todo(list_id=home["id"])
    await ana.patch(f"/lists/{home['id']}", {"archived": True})
    assert (await ana.get("/todos")).json()["items"] == []
    assert [t["id"] for t in (await ana.get(f"/todos?list_id={home['id']}")).json()["items"]] == [todo["id"]]


async def test_titles_that_grow_when_they_are_sorted_can_be_paged_through(ana: Person) -> None:
    titles = ["\ufdfa" * 199 + end for end in "abc"]  # one character whose plain form has eighteen
    for title in titles:
        await ana.todo(title)
    assert sorted(t["title"] for t in await _every(ana, "sort=title", size=1)) == sorted(titles)


async def test_deep_pages_are_found_by_an_index(ana: Person) -> None:
    await ana.todo()
    listing = statements.todos_by(shapes.from_columns, Filter(list_id=True), "position")
    compiled = str(listing.after.statement.compile())  # type: ignore[attr-defined]
    assert "todos.position >= " in compiled
