# ruff: noqa: RUF001 — the letters that look alike are the point
"""GET /todos?q= finds the same on both databases, whatever the script, and nothing that is somebody else's."""

import re
from typing import Any
from urllib.parse import quote
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, insert, select, text

from doable import migrations
from doable.accounts.tables import users
from doable.core import clock, ids
from doable.core.db import Database
from doable.core.queries import query, scalar
from doable.lists.tables import lists, members
from doable.settings import Settings
from doable.todos import search, shapes, statements
from doable.todos.statements import Filter
from doable.todos.tables import todo_search, todos
from tests.support import asgi
from tests.support.people import Person

# The text of a todo, what finds it, and what does not.
FOUND: list[tuple[str, list[str], list[str]]] = [
    ("Buy milk, 2 litres", ["milk", "MILK buy", "mil", "2 lit", "litres buy", "buy, milk!"], ["ilk", "mil buy"]),
    ("100% of a_b 'quoted' C:\\x", ["100%", "a_b", "'quoted'", "c:\\x"], ["1_0", "qu%d", "%", "_"]),
    ("Crème Brûlée", ["creme brulee", "CRÈME", "crème brûl", "cre\u0300me"], ["crame"]),
    ("İstanbul ve Isparta", ["istanbul", "İSTANBUL", "ıstanbul", "ısparta", "isp"], ["stanbul"]),
    ("Straße", ["strasse", "STRASSE", "straß"], ["strase"]),
    ("ﬁne ﬂuﬃer Ⅳ ｆｕｌｌ", ["fine", "fluffier", "iv", "full", "ﬁne"], ["vi"]),
    ("ΟΔΟΣ Αθήνα", ["οδός", "οδος", "αθηνα", "ΑΘΗ"], ["θηνα"]),
    ("Ёлка и йод", ["ёлка", "ЁЛКА", "йод"], ["иод"]),
    ("牛乳を買う", ["牛乳", "買う", "買", "牛乳を買", "う", "牛"], ["牛買", "乳牛"]),
    ("iPhoneケースを買う", ["iphone", "ケース", "iphone 買う"], ["phone"]),
    ("ไปตลาด", ["ตลาด", "ไป"], ["ดา"]),
    ("한국어 공부", ["한국어", "한국", "공부 한국어"], ["국어"]),
    ("हिन्दी सीखना", ["हिन्दी", "सीख"], ["हन्दी"]),
    ("می\u200cخواهم", ["می\u200cخواهم", "میخواهم"], ["خواهم"]),
    ("מַזָּל", ["מַזָּל"], ["x"]),
    ("🎉 party 👨‍👩‍👧 ❤️ 👍🏽", ["🎉", "party 🎉", "👧", "❤", "👍", "👨‍👩‍👧"], ["🎈"]),
    ("co\u00adop\u200btion", ["cooption"], ["op"]),
]  # fmt: skip


async def found(person: Person, q: str, more: str = "") -> list[str]:
    answer = await person.get(f"/todos?q={quote(q, safe='')}{more}&size=200")
    assert answer.status_code == 200, answer.text
    return [todo["title"] for todo in answer.json()["items"]]


async def test_what_finds_a_todo_and_what_does_not(ana: Person) -> None:
    for title, _, _ in FOUND:
        await ana.todo(title)
    for title, finding, missing in FOUND:
        for q in finding:
            assert title in await found(ana, q), q
        for q in missing:
            assert title not in await found(ana, q), q


async def test_descriptions_are_searched_and_changes_are_seen(ana: Person) -> None:
    todo = await ana.todo("Shopping", description="two litres\nof milk")
    path = f"/todos/{todo['id']}"
    assert await found(ana, "shopping milk") == ["Shopping"]
    await ana.patch(path, {"description": "bread"})
    assert (await found(ana, "milk"), await found(ana, "shopping bread")) == ([], ["Shopping"])
    await ana.patch(path, {"title": "Errands"})
    assert (await found(ana, "shopping"), await found(ana, "errands bread")) == ([], ["Errands"])
    await ana.patch(path, {"description": None, "labels": ["milk"]})
    assert (await found(ana, "bread"), await found(ana, "milk")) == ([], []), "a label is no word of the text"
    await ana.delete(path)
    assert await found(ana, "errands") == []


async def test_only_the_last_word_may_be_a_beginning(ana: Person) -> None:
    await ana.todo("Buy oat milk")
    assert await found(ana, "oat mi") == ["Buy oat milk"]
    assert await found(ana, "mi oat") == []


@pytest.mark.parametrize("q", ["!", "%", "_", "-- ' \"", "*", "#", "\u0301?"])
async def test_a_search_without_a_word_finds_nothing(ana: Person, q: str) -> None:
    await ana.todo("! % _ * # ?")
    assert await found(ana, q) == []


async def test_a_search_combines_with_filters_orders_pages_and_cursors(ana: Person) -> None:
    home = (await ana.list())["id"]
    for n in range(9):
        await ana.todo(f"milk {n}", list_id=home, priority=n % 2 + 1, labels=["a"] if n % 3 else [])
        await ana.todo(f"bread {n}", list_id=home)
    more = f"&list_id={home}&priority=1&label=A,x&completed=false&assignee=none&sort=-title"
    expected = [f"milk {n}" for n in (8, 4, 2)]
    assert await found(ana, "milk", more) == expected
    seen, cursor = [], ""
    while True:
        page = (await ana.get(f"/todos?q=mil{more}&size=2{cursor}")).json()
        assert page["total"] in {3, None}
        seen += [todo["title"] for todo in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == expected


async def test_the_todos_of_others_are_not_found(ana: Person, bob: Person) -> None:
    await bob.todo("secret milk", labels=["secret"])
    assert await found(ana, "secret") == []
    assert (await ana.get("/todos?label=secret")).json()["items"] == []
    answer = await ana.get(f"/todos?q=secret&list_id={bob.inbox_id}")
    assert answer.status_code == 404


async def test_a_todo_has_a_bounded_number_of_terms(ana: Person, running: asgi.Running) -> None:
    todo = await ana.todo(" ".join(f"t{n}" for n in range(50)), description=" ".join(f"d{n}" for n in range(200)))
    long = await ana.todo("x" * 200, description="\ufdfa" * 1000, labels=["\ufdfa" * 49 + end for end in "ab"][:1])
    db: Database = running.state["db"]
    assert len(await db.reads.all(query(scalar, select(todo_search.c.term)))) <= search.MOST + 10
    assert await found(ana, "d149 t49") == [todo["title"]]
    assert await found(ana, "d150") == [], "these are more than are kept"
    assert await found(ana, "x" * 200) == [long["title"]], "a long word is found by its beginning"


async def _plan(settings: Settings, chosen: Filter, **params: object) -> list[str]:
    statement = statements.todos_by(shapes.from_columns, chosen, "id").counted.statement
    values = {"page_size": 21, "page_offset": 0, **params}
    async with migrations.snapshot(settings.database) as connection:
        sync = connection.sync_connection
        assert sync is not None
        explain = "EXPLAIN QUERY PLAN " if sync.dialect.name == "sqlite" else "EXPLAIN "

        def before(*given: Any) -> tuple[str, Any]:
            return explain + given[2], given[3]

        def after(*given: Any) -> None:
            told.extend(str(row[-1]) for row in given[1].fetchall())

        told: list[str] = []
        event.listen(sync, "before_cursor_execute", before, retval=True)
        event.listen(sync, "after_cursor_execute", after)
        await connection.execute(statement, values)
        return told


async def test_a_search_begins_with_the_lists_of_the_actor(
    running: asgi.Running, ana: Person, settings: Settings
) -> None:
    db: Database = running.state["db"]
    stranger, now = ids.new_id(), clock.now()
    homes = [ids.new_id() for _ in range(200)]
    times = {"created_at": now, "updated_at": now, "version": 1}
    async with db.transaction() as tx:
        person = {"email": "", "username": "", "is_admin": False, "timezone": "UTC", "inbox_id": homes[0]}
        await tx.execute(insert(users), id=stranger, **person, created_at=now, updated_at=now)
        await tx.many(
            insert(lists),
            ({"id": home, "owner_id": stranger, "name": "", "is_inbox": False, **times} for home in homes),
        )
        member = {"user_id": stranger, "role": "owner", "joined_at": now}
        await tx.many(insert(members), ({"list_id": home, **member} for home in homes))
        todo = {"position": "a0", "title": "milk", "title_key": "milk", "priority": 3, "created_by": stranger, **times}
        terms = search.terms("milk", None, ["home"])
        rows = ({"id": ids.new_id(), "list_id": home, "terms": terms, **todo} for home in homes for _ in range(10))
        await tx.many(insert(todos), rows)
    async with migrations.writing(settings.database) as connection:
        await connection.execute(text("ANALYZE"))
    ((low, high),) = search.ranges("milk")
    mine = {"actor_id": UUID(ana.user["id"]), "list_ids": [UUID(ana.inbox_id)], "labels": ["#home"]}
    for named in (False, True):
        for chosen in (Filter(list_id=named, words=1), Filter(list_id=named, label=True)):
            plan = await _plan(settings, chosen, **mine, low_0=low, high_0=high)
            # What is read in it is of a list of the actor, or of a todo that is: PostgreSQL may go either way.
            assert re.search(r"todo_search [^\n]*\n?[^\n]*\b(list_id|todo_id) ?=", "\n".join(plan)), "\n".join(plan)
    assert await found(ana, "milk") == []


TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=60)


@given(st.text(st.characters(max_codepoint=127, exclude_categories=["Cc"]), max_size=60))
def test_ascii_has_the_same_terms_among_other_letters(written: str) -> None:
    alone, among = ([term for term, _ in orjson.loads(search.terms(t, None, ()))] for t in (written, f"{written} ж"))
    assert among == [*alone, "ж"]


@given(TEXTS, TEXTS)
def test_every_text_is_found_by_itself(title: str, description: str) -> None:
    terms = [term for term, _ in orjson.loads(search.terms(title, description, ()))]
    assert len(set(terms)) == len(terms)
    for wanted in (title, description, f"{title} {description}"):
        for low, high in search.ranges(wanted):
            assert any(low <= term < high for term in terms)
