"""When a todo is due: the three kinds, what clocks do to them, and finding todos by it."""

import itertools
from typing import Any

import httpx2
import pytest

from tests.support.people import Person, register

DATE = {"date": "2026-11-22"}
FLOATING = {"date": "2026-11-22", "time": "14:30"}
ZONED = {"date": "2026-11-22", "time": "14:30", "timezone": "Europe/Zagreb"}


@pytest.fixture
async def ana(client: httpx2.AsyncClient) -> Person:
    return await register(client, "ana")


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (DATE, {**DATE, "time": None, "timezone": None, "at": None}),
        ({**DATE, "time": None, "timezone": None}, {**DATE, "time": None, "timezone": None, "at": None}),
        (FLOATING, {**FLOATING, "timezone": None, "at": None}),
        (ZONED, {**ZONED, "at": "2026-11-22T13:30:00.000Z"}),
        # 02:30 does not exist on this day: it comes as much later as the clocks were put forward.
        (
            {"date": "2026-03-29", "time": "02:30", "timezone": "Europe/Zagreb"},
            {"date": "2026-03-29", "time": "02:30", "timezone": "Europe/Zagreb", "at": "2026-03-29T01:30:00.000Z"},
        ),
        # On this one it comes twice: the first counts.
        (
            {"date": "2026-10-25", "time": "02:30", "timezone": "Europe/Zagreb"},
            {"date": "2026-10-25", "time": "02:30", "timezone": "Europe/Zagreb", "at": "2026-10-25T00:30:00.000Z"},
        ),
        # Half an hour, and the other way round: the year has its summer in January.
        (
            {"date": "2026-10-04", "time": "02:15", "timezone": "Australia/Lord_Howe"},
            {
                "date": "2026-10-04",
                "time": "02:15",
                "timezone": "Australia/Lord_Howe",
                "at": "2026-10-03T15:45:00.000Z",
            },
        ),
        # Samoa had no 30 December 2011.
        (
            {"date": "2011-12-30", "time": "12:00", "timezone": "Pacific/Apia"},
            {"date": "2011-12-30", "time": "12:00", "timezone": "Pacific/Apia", "at": "2011-12-30T22:00:00.000Z"},
        ),
        (
            {"date": "9999-12-30", "time": "23:59", "timezone": "Etc/GMT+12"},
            {"date": "9999-12-30", "time": "23:59", "timezone": "Etc/GMT+12", "at": "9999-12-31T11:59:00.000Z"},
        ),
        (
            {"date": "1970-01-01", "time": "00:00", "timezone": "Etc/GMT-14"},
            {"date": "1970-01-01", "time": "00:00", "timezone": "Etc/GMT-14", "at": "1969-12-31T10:00:00.000Z"},
        ),
    ],
    ids=str,
)
async def test_a_due_is_kept_as_written_and_only_a_zone_makes_it_an_instant(
    ana: Person, given: dict[str, Any], shown: dict[str, Any]
) -> None:
    todo = await ana.todo(due=given)
    assert todo["due"] == shown
    path = f"/todos/{todo['id']}"
    assert (await ana.get(path)).json()["due"] == shown
    assert (await ana.put(path, {"title": "Buy milk", "due": given})).status_code == 200
    assert (await ana.patch(path, {"due": given})).json()["version"] == 1


@pytest.mark.parametrize(
    "due",
    [
        {}, {"time": "14:30"}, {"date": None}, {"date": "2026-02-30"}, {"date": "2026-11-22T14:30:00Z"}, {"date": 1},
        {**DATE, "time": "24:00"}, {**DATE, "time": "14:30:00"}, {**DATE, "time": ""}, {**FLOATING, "timezone": "Mars"},
        {**DATE, "timezone": "Europe/Zagreb"}, {**DATE, "time": None, "timezone": "Europe/Zagreb"},
        {**ZONED, "at": "2026-11-22T13:30:00.000Z"}, {**ZONED, "date": "9999-12-31"}, "2026-11-22", [],
    ],
    ids=str,
)  # fmt: skip
async def test_what_is_no_due_is_refused(ana: Person, due: object) -> None:
    todo = await ana.todo()
    for answer in (
        await ana.post("/todos", {"title": "x", "due": due}),
        await ana.patch(f"/todos/{todo['id']}", {"due": due}),
    ):
        assert code(answer) == (422, "VALIDATION_ERROR")
        assert answer.json()["error"]["details"][0]["field"].startswith("body.due")


async def test_a_due_is_replaced_as_a_whole_and_cleared_by_null(ana: Person) -> None:
    todo = await ana.todo(due=ZONED)
    path = f"/todos/{todo['id']}"
    assert (await ana.patch(path, {"title": "x"})).json()["due"] == todo["due"]
    changed = (await ana.patch(path, {"due": DATE})).json()
    assert changed["due"] == {**DATE, "time": None, "timezone": None, "at": None}
    (event,) = (await ana.get(f"/todos/{todo['id']}/history?size=1")).json()["items"]
    assert event["data"]["changes"] == {"due": {"from": {**todo["due"]}, "to": changed["due"]}}
    assert (await ana.patch(path, {"due": None})).json()["due"] is None


DUES: list[dict[str, str] | None] = [
    None,
    {"date": "2026-11-22"},  # sorts at 23:59:59
    {"date": "2026-11-22", "time": "23:59"},
    {"date": "2026-11-22", "time": "00:00"},
    {"date": "2026-11-23", "time": "08:00", "timezone": "Asia/Tokyo"},  # 23:00 the day before
    {"date": "2026-11-22", "time": "23:30", "timezone": "America/New_York"},  # 04:30 the day after
    {"date": "2026-11-23", "time": "04:30"},
    None,
    {"date": "2026-11-23", "time": "04:30"},
    {"date": "9999-12-31"},
    {"date": "1970-01-01", "time": "00:00"},
]
IN_ORDER = [10, 3, 4, 2, 1, 5, 6, 8, 9, 0, 7]
BACKWARDS = [9, 5, 6, 8, 1, 2, 4, 3, 10, 0, 7]


@pytest.mark.parametrize(("sort", "expected"), [("due", IN_ORDER), ("-due", BACKWARDS)])
async def test_todos_are_sorted_by_due_and_those_without_come_last(ana: Person, sort: str, expected: list[int]) -> None:
    made = [await ana.todo(f"{n}", due=due) for n, due in enumerate(DUES)]
    for size in (1, 3, 20):
        found: list[str] = []
        cursor = ""
        for _ in itertools.count():
            page = (await ana.get(f"/todos?sort={sort}&size={size}{cursor}")).json()
            found += [todo["id"] for todo in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert found == [made[n]["id"] for n in expected]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("due_before=2026-11-22", {10}),
        ("due_before=2026-11-23", {1, 2, 3, 5, 10}),
        ("due_after=2026-11-22", {4, 6, 8, 9}),
        ("due_after=2026-11-21&due_before=2026-11-23", {1, 2, 3, 5}),
        ("due_after=2026-11-23&due_before=2026-11-23", set()),
        ("due_after=9999-12-31", set()),
    ],
)
async def test_filters_compare_the_date_as_it_is_written(ana: Person, query: str, expected: set[int]) -> None:
    for n, due in enumerate(DUES):
        await ana.todo(f"{n}", due=due)
    page = (await ana.get(f"/todos?{query}&sort=-due")).json()
    assert {int(todo["title"]) for todo in page["items"]} == expected
    assert page["total"] == len(expected)


@pytest.mark.parametrize("query", ["due_before=", "due_after=2026-11-22T00:00:00Z", "due_before=2026-02-30"])
async def test_a_filter_that_is_no_date_is_refused(ana: Person, query: str) -> None:
    answer = await ana.get(f"/todos?{query}")
    assert code(answer) == (422, "VALIDATION_ERROR")
    assert answer.json()["error"]["details"][0]["field"] == f"query.{query.partition('=')[0]}"
