"""Labels of todos: kept as they are written, one whatever its case, filtered and counted."""

from typing import Any

import pytest

from tests.support.people import Person


async def _labels(person: Person, query: str = "") -> dict[str, int]:
    answer = await person.get(f"/labels{query}")
    assert answer.status_code == 200, answer.text
    return {item["label"]: item["count"] for item in answer.json()["items"]}


async def _titles(person: Person, query: str) -> list[str]:
    return sorted(todo["title"] for todo in (await person.get(f"/todos?{query}")).json()["items"])


async def test_labels_are_kept_in_their_case_and_order_and_replaced_as_a_whole(ana: Person) -> None:
    todo = await ana.todo(labels=[" Home ", "e\u0301t\u00e9", "work"])
    path = f"/todos/{todo['id']}"
    assert todo["labels"] == ["Home", "été", "work"]
    assert (await ana.get(path)).json() == todo
    assert (await ana.patch(path, {"title": "x"})).json()["labels"] == todo["labels"]
    changed = (await ana.patch(path, {"labels": ["home"]})).json()
    assert (changed["labels"], changed["version"]) == (["home"], 3)
    assert (await ana.patch(path, {"labels": ["home"]})).json() == changed
    assert (await ana.patch(path, {"labels": []})).json()["labels"] == []
    last = (await ana.get(f"/lists/{ana.inbox_id}/events")).json()["events"][-1]
    assert last["data"]["changes"] == {"labels": {"from": ["home"], "to": []}}


@pytest.mark.parametrize(
    ("labels", "field"),
    [
        (None, "body.labels"),
        ("home", "body.labels"),
        ({"home": 1}, "body.labels"),
        (["home", "HOME"], "body.labels"),
        (["\ufb01ne", "fine"], "body.labels"),
        ([str(n) for n in range(21)], "body.labels"),
        ([""], "body.labels.0"),
        (["a", " "], "body.labels.1"),
        (["a,b"], "body.labels.0"),
        (["x" * 51], "body.labels.0"),
        (["a\nb"], "body.labels.0"),
        (["a\u202eb"], "body.labels.0"),
        ([1], "body.labels.0"),
        ([None], "body.labels.0"),
    ],
    ids=str,
)
async def test_what_labels_cannot_be(ana: Person, labels: Any, field: str) -> None:
    todo = await ana.todo(labels=["a"])
    for answer in (
        await ana.patch(f"/todos/{todo['id']}", {"labels": labels}),
        await ana.post("/todos", {"title": "x", "labels": labels}),
    ):
        assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (422, field)
    assert (await ana.get("/todos")).json()["items"] == [todo]


async def test_a_filter_takes_any_of_its_labels_whatever_their_case(ana: Person) -> None:
    await ana.todo("one", labels=["Home", "Straße"])
    await ana.todo("two", labels=["home work"])
    await ana.todo("three", labels=["work", "%"])
    await ana.todo("four")
    assert await _titles(ana, "label=HOME") == ["one"]
    assert await _titles(ana, "label=STRASSE,work") == ["one", "three"]
    assert await _titles(ana, "label=home,home%20work,none") == ["one", "two"]
    assert await _titles(ana, "label=hom") == []
    assert await _titles(ana, "label=%25") == ["three"]
    assert await _titles(ana, "label=work&q=three") == ["three"]


async def test_labels_that_grow_when_they_are_compared_are_kept_and_found(ana: Person) -> None:
    longest = ["\ufdfa" * 50, *("x" * 49 + letter for letter in "abc")]
    todo = await ana.todo(labels=longest)
    assert todo["labels"] == longest
    for label in longest:
        assert await _titles(ana, f"label={label}") == [todo["title"]]


async def test_labels_are_counted_in_the_spelling_that_most_todos_have(ana: Person) -> None:
    home = (await ana.list())["id"]
    for labels in (["Work", "b"], ["work"], ["work", "B"], ["B", "ärger"], []):
        await ana.todo(labels=labels, list_id=home)
    todo = await ana.todo(labels=["WORK", "inbox"])
    answer = await ana.get("/labels")
    assert list((await _labels(ana)).items()) == [("B", 3), ("inbox", 1), ("work", 4), ("ärger", 1)]
    assert answer.headers["cache-control"] == "no-store"
    assert await _labels(ana, f"?list_id={home}") == {"B": 3, "work": 3, "ärger": 1}
    assert await _labels(ana, f"?list_id={home},{ana.inbox_id}") == await _labels(ana)
    await ana.delete(f"/todos/{todo['id']}")
    assert await _labels(ana) == {"B": 3, "work": 3, "ärger": 1}, "the trash does not count"
    await ana.patch(f"/lists/{home}", {"archived": True})
    assert await _labels(ana) == {}
    assert (await _labels(ana, f"?list_id={home}"))["work"] == 3, "an archived list is counted when it is named"


async def test_labels_of_others_are_not_shown(ana: Person, bob: Person) -> None:
    await bob.todo(labels=["secret"])
    assert await _labels(ana) == {}
    assert (await ana.get(f"/labels?list_id={bob.inbox_id}")).status_code == 404
    for query in ("?list_id=x", "?list_id=", "?q=x"):
        assert (await ana.get(f"/labels{query}")).status_code == 422
