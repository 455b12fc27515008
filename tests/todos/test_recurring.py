"""A recurring todo: each occurrence is done once, however often that is said, and the next one comes."""

import asyncio
from typing import Any

import httpx2
import pytest

from tests.support import folding
from tests.support.people import Person, register

MONDAY = "2090-11-27"
"""Far away, so that nothing is overdue unless a test wants it."""


@pytest.fixture
async def ana(client: httpx2.AsyncClient) -> Person:
    return await register(client, "ana")


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def recurring(ana: Person, rule: str = "FREQ=DAILY", date: str = MONDAY, **members: Any) -> dict[str, Any]:
    recurrence = {"rule": rule, "basis": members.pop("basis", "due")}
    return await ana.todo(due={"date": date, **members.pop("due", {})}, recurrence=recurrence, **members)


async def completed(ana: Person, todo: dict[str, Any], at: str | None = None) -> dict[str, Any]:
    """After the present occurrence has been completed."""
    present = (await ana.get(f"/todos/{todo['id']}")).json()
    body = {"occurrence": present["due"]["date"], **({} if at is None else {"completed_at": at})}
    answer = await ana.put(f"/todos/{todo['id']}/completion", body)
    assert answer.status_code == 200, answer.text
    after: dict[str, Any] = answer.json()
    return after


async def occurrences(ana: Person, todo: dict[str, Any]) -> list[dict[str, Any]]:
    page: dict[str, list[dict[str, Any]]] = (await ana.get(f"/todos/{todo['id']}/occurrences?size=200")).json()
    return page["items"]


async def test_to_complete_one_makes_it_due_again_and_notes_what_was_done(ana: Person) -> None:
    due = {"time": "14:30", "timezone": "Europe/Zagreb"}
    todo = await recurring(ana, "byday=mo,th;freq=weekly", due=due)
    assert todo["recurrence"] == {"rule": "FREQ=WEEKLY;BYDAY=MO,TH", "basis": "due", "done": 0}
    path = f"/todos/{todo['id']}"
    body = {"occurrence": MONDAY, "completed_at": "2090-11-20T09:00:00Z"}
    answer = await ana.put(f"{path}/completion", body)
    after = answer.json()
    assert (after["completed"], after["completed_at"], after["version"]) == (False, None, 2)
    assert after["due"] == {"date": "2090-11-30", **due, "at": "2090-11-30T13:30:00.000Z"}
    assert after["recurrence"] == {**todo["recurrence"], "done": 1}
    assert answer.headers["doable-position"].endswith(":4")
    (event,) = (await ana.get(f"{path}/history?size=1")).json()["items"]
    assert event["kind"] == "todo.rolled"
    assert event["data"] == {
        "todo": after,
        "changes": {
            "due": {"from": todo["due"], "to": after["due"]},
            "recurrence": {"from": todo["recurrence"], "to": after["recurrence"]},
        },
        "occurrence": todo["due"],
    }
    noted = {"due": todo["due"], "completed_at": "2090-11-20T09:00:00.000Z", "completed_by": ana.user["id"]}
    assert (await ana.get(f"{path}/occurrences")).json() == {
        "items": [noted], "page": 1, "size": 20, "total": 1, "next_cursor": None,
    }  # fmt: skip
    copy = await folding.fold(ana, ana.inbox_id)
    assert copy.in_order() == [after]


async def test_many_at_once_complete_one_occurrence_once(ana: Person) -> None:
    todo = await recurring(ana)
    path = f"/todos/{todo['id']}/completion"
    answers = await asyncio.gather(*(ana.put(path, {"occurrence": MONDAY}) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1, "each sees the todo as it is afterwards"
    assert sum("doable-position" in answer.headers for answer in answers) == 1
    again = await ana.put(path, {"occurrence": MONDAY})
    assert (again.json()["recurrence"]["done"], again.json()["due"]["date"]) == (1, "2090-11-28")
    assert len(await occurrences(ana, todo)) == 1
    assert (await ana.get(f"/lists/{ana.inbox_id}")).json()
    assert [each["kind"] for each in (await ana.get(f"/todos/{todo['id']}/history")).json()["items"]] == [
        "todo.rolled",
        "todo.created",
    ]


async def test_many_at_once_with_one_key_or_one_version_complete_one_occurrence(ana: Person) -> None:
    todo = await recurring(ana)
    path = f"/todos/{todo['id']}"
    keyed = [ana.patch(path, {"completed": True}, headers={"Idempotency-Key": "k"}) for _ in range(20)]
    assert {answer.status_code for answer in await asyncio.gather(*keyed)} == {200}
    present = await ana.get(path)
    assert present.json()["recurrence"]["done"] == 1
    seen = {"If-Match": present.headers["etag"]}
    versioned = await asyncio.gather(*(ana.put(f"{path}/completion", headers=seen) for _ in range(20)))
    assert sorted(answer.status_code for answer in versioned) == [200] + [412] * 19
    assert (await ana.get(path)).json()["recurrence"]["done"] == 2
    assert [each["due"]["date"] for each in await occurrences(ana, todo)] == ["2090-11-28", MONDAY]


async def test_different_occurrences_at_once_never_count_one_twice(ana: Person) -> None:
    todo = await recurring(ana)
    days = [f"2090-11-{day}" for day in (27, 28, 29, 30)] * 6
    path = f"/todos/{todo['id']}/completion"
    for _ in range(3):
        await asyncio.gather(*(ana.put(path, {"occurrence": day}) for day in days))
    noted = [each["due"]["date"] for each in reversed(await occurrences(ana, todo))]
    after = (await ana.get(f"/todos/{todo['id']}")).json()
    assert noted == sorted(set(days))[: len(noted)]
    assert after["recurrence"]["done"] == len(noted) >= 3


async def test_nothing_says_which_occurrence_is_meant(ana: Person) -> None:
    todo = await recurring(ana)
    path = f"/todos/{todo['id']}"
    for answer in (
        await ana.put(f"{path}/completion"),
        await ana.put(f"{path}/completion", {"completed_at": "2090-11-27T10:00:00Z"}),
        await ana.patch(path, {"completed": True, "title": "x"}),
    ):
        assert code(answer) == (428, "OCCURRENCE_REQUIRED")
    assert (await ana.get(path)).json() == todo
    # Who says that any version will do has said so.
    assert (await ana.put(f"{path}/completion", headers={"If-Match": "*"})).json()["recurrence"]["done"] == 1
    # Where there is only one time to complete, nothing needs to be said.
    assert (await ana.patch(path, {"completed": True, "recurrence": None})).json()["completed"] is True
    assert (await ana.put(f"{path}/completion")).status_code == 200


async def test_refusals_come_in_their_order(ana: Person, client: httpx2.AsyncClient) -> None:
    bob = await register(client, "bob")
    todo = await recurring(ana)
    path = f"/todos/{todo['id']}"
    assert code(await bob.put(f"{path}/completion")) == (404, "NOT_FOUND")
    assert code(await bob.get(f"{path}/occurrences")) == (404, "NOT_FOUND")
    old = {"If-Match": (await ana.get(path)).headers["etag"]}
    await ana.delete(path)
    assert code(await ana.put(f"{path}/completion")) == (428, "OCCURRENCE_REQUIRED")
    assert code(await ana.put(f"{path}/completion", headers=old)) == (412, "PRECONDITION_FAILED")
    assert code(await ana.put(f"{path}/completion", {"occurrence": MONDAY})) == (409, "IN_TRASH")


async def test_another_occurrence_has_been_done_already(ana: Person) -> None:
    todo = await recurring(ana)
    for other in ("2090-11-26", "2090-11-28", "1970-01-01"):
        answer = await ana.put(f"/todos/{todo['id']}/completion", {"occurrence": other})
        assert (answer.status_code, answer.json()) == (200, todo)
        assert "doable-position" not in answer.headers


@pytest.mark.parametrize(
    ("rule", "due", "basis", "at", "expected"),
    [
        ("FREQ=DAILY", "2090-11-27", "due", "2090-11-27T10:00:00Z", "2090-11-28"),
        ("FREQ=DAILY", "2090-11-27", "due", "2090-12-05T10:00:00Z", "2090-12-06"),
        ("FREQ=WEEKLY;INTERVAL=2", "2090-11-27", "due", "2090-12-05T10:00:00Z", "2090-12-11"),
        ("FREQ=WEEKLY;INTERVAL=2", "2090-11-27", "due", "2090-12-11T10:00:00Z", "2090-12-25"),
        ("FREQ=DAILY;INTERVAL=3", "2090-11-27", "due", "2090-11-20T10:00:00Z", "2090-11-30"),
        ("FREQ=DAILY;INTERVAL=3", "2090-11-27", "completion", "2090-11-28T10:00:00Z", "2090-12-01"),
        ("FREQ=WEEKLY;BYDAY=MO", "2090-11-27", "completion", "2090-11-29T10:00:00Z", "2090-12-04"),
        # Before it was due: from that day on, but never on the day that has just been done.
        ("FREQ=DAILY;INTERVAL=3", "2090-11-27", "completion", "2090-11-24T10:00:00Z", "2090-11-30"),
        ("FREQ=DAILY;INTERVAL=3", "2090-11-27", "completion", "2090-11-23T10:00:00Z", "2090-11-29"),
    ],
)
async def test_the_next_one_is_after_this_one_and_after_today(
    ana: Person, rule: str, due: str, basis: str, at: str, expected: str
) -> None:
    todo = await recurring(ana, rule, due, basis=basis)
    assert (await completed(ana, todo, at))["due"]["date"] == expected


@pytest.mark.parametrize(
    ("due", "home", "expected"),
    [
        # 23:30 of the first in UTC is the second in Tokyo, and still the first in Honolulu.
        ({"time": "09:00", "timezone": "Asia/Tokyo"}, "Pacific/Honolulu", "2090-12-03"),
        ({"time": "09:00", "timezone": "Pacific/Honolulu"}, "Asia/Tokyo", "2090-12-02"),
        ({"time": "09:00"}, "Asia/Tokyo", "2090-12-03"),
        ({}, "Pacific/Honolulu", "2090-12-02"),
    ],
    ids=str,
)
async def test_today_is_told_by_the_zone_of_the_due_or_that_of_the_person(
    ana: Person, due: dict[str, str], home: str, expected: str
) -> None:
    assert (await ana.patch("/users/me", {"timezone": home})).status_code == 200
    todo = await recurring(ana, due=due)
    assert (await completed(ana, todo, "2090-12-01T23:30:00Z"))["due"]["date"] == expected


async def test_without_an_instant_it_is_completed_now(ana: Person) -> None:
    todo = await recurring(ana, date="2026-01-01")
    after = await completed(ana, todo)
    (noted,) = await occurrences(ana, todo)
    assert after["updated_at"] == noted["completed_at"]
    assert after["due"]["date"] > noted["completed_at"][:10]


@pytest.mark.parametrize("basis", ["due", "completion"])
@pytest.mark.parametrize("rule", ["FREQ=DAILY;COUNT=3", "FREQ=DAILY;UNTIL=20901129", "FREQ=YEARLY;INTERVAL=9000"])
async def test_after_the_last_one_the_todo_is_completed(ana: Person, rule: str, basis: str) -> None:
    todo = await recurring(ana, rule, basis=basis)
    last = 1 if "YEARLY" in rule else 3
    present = todo
    at = [f"2090-11-{26 + n}T10:00:00Z" for n in range(1, last + 1)]
    for n, moment in enumerate(at, 1):
        present = await completed(ana, todo, moment)
        assert (present["completed"], present["recurrence"]["done"]) == (n == last, n)
    assert (present["completed_at"], present["due"]["date"]) == (f"{at[-1][:-1]}.000Z", f"2090-11-{26 + last}")
    (event,) = (await ana.get(f"/todos/{todo['id']}/history?size=1")).json()["items"]
    assert (event["kind"], set(event["data"]["changes"])) == (
        "todo.completed",
        {"completed", "completed_at", "recurrence"},
    )
    assert len(await occurrences(ana, todo)) == last
    # Completed is completed: said again, in whatever way, it changes nothing.
    assert await completed(ana, todo) == present
    assert (await ana.put(f"/todos/{todo['id']}/completion")).json() == present
    # Opened again the last one has not been done.
    reopened = (await ana.delete(f"/todos/{todo['id']}/completion")).json()
    assert (reopened["completed"], reopened["due"], reopened["recurrence"]["done"]) == (False, present["due"], last - 1)
    assert len(await occurrences(ana, todo)) == last - 1
    assert (await completed(ana, todo, at[-1]))["completed"] is True
    assert len(await occurrences(ana, todo)) == last


async def test_missed_ones_count_for_the_rule_but_are_not_done(ana: Person) -> None:
    todo = await recurring(ana, "FREQ=DAILY;COUNT=3")
    after = await completed(ana, todo, "2090-11-28T10:00:00Z")
    assert (after["due"]["date"], after["recurrence"]["done"]) == ("2090-11-29", 1)
    assert (await completed(ana, todo, "2090-11-28T10:00:00Z"))["completed"] is True


async def test_what_a_person_sets_begins_anew_and_what_he_does_not_goes_on(ana: Person) -> None:
    todo = await recurring(ana, "FREQ=WEEKLY;INTERVAL=2;COUNT=3")
    path = f"/todos/{todo['id']}"
    after = await completed(ana, todo)
    unchanged = {"due": {"date": after["due"]["date"]}, "recurrence": {"rule": "interval=2;freq=weekly;count=3"}}
    assert (await ana.patch(path, unchanged)).json() == after
    assert (await ana.patch(path, {"title": "x"})).json()["recurrence"]["done"] == 1
    moved = (await ana.patch(path, {"due": {"date": "2090-12-12"}})).json()
    assert moved["recurrence"] == {"rule": "FREQ=WEEKLY;INTERVAL=2;COUNT=3", "basis": "due", "done": 0}
    assert [(await completed(ana, todo))["due"]["date"] for _ in range(2)] == ["2090-12-26", "2091-01-09"]
    assert (await completed(ana, todo))["completed"] is True
    assert len(await occurrences(ana, todo)) == 4, "what has been done stays done"
    reopened = (await ana.patch(path, {"completed": False, "recurrence": {"rule": "FREQ=DAILY"}})).json()
    assert (reopened["completed"], reopened["recurrence"]["done"]) == (False, 0)
    assert len(await occurrences(ana, todo)) == 4


async def test_a_patch_sets_first_and_completes_then(ana: Person) -> None:
    todo = await recurring(ana)
    body = {"completed": True, "title": "x", "due": {"date": "2091-01-01"}, "recurrence": {"rule": "FREQ=MONTHLY"}}
    after = (await ana.patch(f"/todos/{todo['id']}", body, headers={"Idempotency-Key": "k"})).json()
    assert (after["title"], after["due"]["date"], after["completed"]) == ("x", "2091-02-01", False)
    assert (after["recurrence"]["done"], after["version"]) == (1, 2)
    (noted,) = await occurrences(ana, todo)
    assert noted["due"]["date"] == "2091-01-01"
    (event,) = (await ana.get(f"/todos/{todo['id']}/history?size=1")).json()["items"]
    assert (event["kind"], event["data"]["occurrence"]["date"]) == ("todo.rolled", "2091-01-01")


async def test_what_recurs_needs_a_due(ana: Person) -> None:
    todo, plain = await recurring(ana), await ana.todo()
    for answer in (
        await ana.post("/todos", {"title": "x", "recurrence": {"rule": "FREQ=DAILY"}}),
        await ana.put(f"/todos/{plain['id']}", {"title": "x", "recurrence": {"rule": "FREQ=DAILY"}}),
        await ana.patch(f"/todos/{plain['id']}", {"recurrence": {"rule": "FREQ=DAILY"}}),
        await ana.patch(f"/todos/{todo['id']}", {"due": None}),
        await ana.patch(f"/todos/{todo['id']}", {"due": None, "recurrence": {"rule": "FREQ=DAILY"}}),
    ):
        assert code(answer) == (422, "VALIDATION_ERROR")
    assert (await ana.get(f"/todos/{todo['id']}")).json() == todo
    cleared = (await ana.patch(f"/todos/{todo['id']}", {"due": None, "recurrence": None})).json()
    assert (cleared["due"], cleared["recurrence"]) == (None, None)
    both = (await ana.patch(f"/todos/{plain['id']}", {"due": todo["due"] | {"at": None}})).status_code
    assert both == 422, "what is shown has a member that is only shown"


@pytest.mark.parametrize(
    "recurrence",
    [
        {}, {"rule": None}, {"rule": "FREQ=HOURLY"}, {"rule": "FREQ=DAILY", "basis": "x"}, {"rule": 7}, "FREQ=DAILY",
        {"rule": "FREQ=DAILY", "done": 1}, {"rule": "FREQ=DAILY", "basis": None}, {"rule": "FREQ=DAILY\u0000"},
    ],
    ids=str,
)  # fmt: skip
async def test_what_is_no_recurrence_is_refused(ana: Person, recurrence: object) -> None:
    answer = await ana.post("/todos", {"title": "x", "due": {"date": MONDAY}, "recurrence": recurrence})
    assert code(answer) == (422, "VALIDATION_ERROR")
    assert answer.json()["error"]["details"][0]["field"].startswith("body.recurrence")


async def test_a_put_that_was_answered_is_recognised_until_the_todo_has_moved_on(ana: Person) -> None:
    todo = await recurring(ana)
    body = {"title": "Buy milk", "due": {"date": MONDAY}, "recurrence": {"rule": "FREQ=DAILY"}}
    assert (await ana.put(f"/todos/{todo['id']}", body)).json() == todo
    await completed(ana, todo)
    assert code(await ana.put(f"/todos/{todo['id']}", body)) == (409, "ALREADY_EXISTS")
    del body["due"], body["recurrence"]
    assert (await ana.put(f"/todos/{todo['id']}", body)).status_code == 200


async def test_occurrences_come_in_pages_the_newest_first(ana: Person) -> None:
    todo = await recurring(ana)
    for _ in range(5):
        await completed(ana, todo)
    first = (await ana.get(f"/todos/{todo['id']}/occurrences?size=3")).json()
    rest = (await ana.get(f"/todos/{todo['id']}/occurrences?size=3&cursor={first['next_cursor']}")).json()
    days = [each["due"]["date"] for each in first["items"] + rest["items"]]
    assert days == ["2090-12-01", "2090-11-30", "2090-11-29", "2090-11-28", MONDAY]
    assert (first["total"], rest["next_cursor"]) == (5, None)
