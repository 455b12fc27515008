"""Export and import: what leaves in a file comes in again, once, wherever it is sent."""

import csv
import io
import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from sqlalchemy import bindparam, select, update

from doable.core import clock, failpoints, ids
from doable.core.db import Database
from doable.core.failpoints import FailpointError
from doable.core.jobs import Run, inspection
from doable.core.jobs.tables import jobs as table
from doable.core.jobs.worker import Worker
from doable.core.queries import query, scalar
from doable.transfer import export, jobs
from doable.transfer.jobs import Step
from doable.transfer.routes import uploads
from doable.transfer.statements import INSERT_IMPORT, ImportRow
from tests.support import asgi
from tests.support.jobs import run_job, work
from tests.support.people import Person
from tests.support.sharing import join
from tests.support.transfers import EMPTY, exported, imported, life, portable, send

STEPS = query(scalar, select(table.c.id).where(table.c.name == "transfer.apply", table.c.finished_at.is_(None)))
LAST_ATTEMPT = (
    update(table).where(table.c.id == bindparam("job_id")).values(state="running", attempts=bindparam("attempts"))
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages and parts of few todos, so that few todos make many."""
    monkeypatch.setattr(export, "PAGE", 2)
    monkeypatch.setattr(uploads, "MOST", {"lists": 1, "todos": 3, "occurrences": 2})


@pytest.mark.usefixtures("small")
async def test_a_file_comes_in_as_it_left_and_only_once(running: asgi.Running, ana: Person, bob: Person) -> None:
    await life(ana)
    file = await exported(ana)
    renamed = {one["id"]: str(uuid4()) for one in (*file["lists"], *file["todos"])}
    text = json.dumps(file)
    for old, new in renamed.items():
        text = text.replace(old, new)
    before = await exported(ana)
    done = await imported(running, bob, text)
    assert (done["status"], done["errors"], done["refused"]) == ("done", [], 0)
    assert done["created"] == len(file["todos"]) + 1
    came = await exported(bob)
    inbox = next(one["id"] for one in json.loads(text)["lists"] if one["is_inbox"])
    assert portable(came, bob.inbox_id) == portable(json.loads(text), inbox)
    again = await imported(running, bob, text)
    assert (again["created"], again["present"]) == (0, done["created"] + done["present"])
    assert await exported(bob) | {"exported_at": ""} == came | {"exported_at": ""}
    assert await exported(ana) | {"exported_at": ""} == before | {"exported_at": ""}


@pytest.mark.usefixtures("small")
async def test_ids_that_others_have_are_made_anew_and_stay_the_same(
    running: asgi.Running, ana: Person, bob: Person
) -> None:
    await life(ana)
    file = await exported(ana)
    first = await imported(running, bob, file)
    assert first["errors"] == []
    came = await exported(bob)
    assert {one["id"] for one in came["todos"]}.isdisjoint(one["id"] for one in file["todos"])
    assert [one["title"] for one in came["todos"]] == [one["title"] for one in file["todos"]]
    assert (await imported(running, bob, file))["created"] == 0
    assert await exported(bob) | {"exported_at": ""} == came | {"exported_at": ""}


async def test_the_own_file_changes_nothing(running: asgi.Running, ana: Person, bob: Person) -> None:
    home = await life(ana)
    await join(ana, bob, home["id"], "viewer")
    for person in (ana, bob):
        file = await exported(person)
        done = await imported(running, person, file)
        assert (done["created"], done["refused"], done["errors"]) == (0, 0, [])
        assert await exported(person) | {"exported_at": ""} == file | {"exported_at": ""}


@pytest.mark.usefixtures("small")
async def test_a_part_that_fails_or_is_run_again_comes_in_once(
    running: asgi.Running, ana: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    await life(ana)
    file = await exported(ana)
    import_id = (await send(bob, file)).json()["id"]
    worker: Worker = running.state["worker"]
    run = Run(ids.new_id(), 1, clock.now(), worker._tools)
    monkeypatch.setitem(failpoints._actions, "transfer.part_written", "raise")
    for _ in range(2):
        with pytest.raises(FailpointError):
            await jobs.apply.function(run, Step(UUID(import_id), 0))
    assert len((await exported(bob))["lists"]) == 1
    monkeypatch.delitem(failpoints._actions, "transfer.part_written")
    for number in (0, 0, 1, 0, 1, 2, 2):
        await jobs.apply.function(run, Step(UUID(import_id), number))
    assert (await bob.get(f"/imports/{import_id}")).json()["applied"] == 3
    await worker.drain()
    shown = (await bob.get(f"/imports/{import_id}")).json()
    assert (shown["status"], shown["applied"]) == ("done", shown["parts"])
    assert shown["created"] == len(file["todos"]) + 1
    assert [one["title"] for one in (await exported(bob))["todos"]] == [one["title"] for one in file["todos"]]


async def test_an_import_that_fails_for_good_says_so(
    running: asgi.Running, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = (await send(ana, EMPTY)).json()["id"]
    worker: Worker = running.state["worker"]
    run = Run(ids.new_id(), jobs.RETRY.attempts, clock.now(), worker._tools)
    monkeypatch.setitem(failpoints._actions, "transfer.part_written", "raise")
    with pytest.raises(FailpointError):
        await jobs.apply.function(run, Step(UUID(import_id), 0))
    shown = (await ana.get(f"/imports/{import_id}")).json()
    assert shown["status"] == "failed"
    assert shown["finished_at"]


@pytest.mark.parametrize("how", ["its process has died each time", "it was cancelled"])
async def test_an_import_that_nobody_goes_on_with_has_failed(running: asgi.Running, ana: Person, how: str) -> None:
    db: Database = running.state["db"]
    import_id = (await send(ana, EMPTY)).json()["id"]
    (job_id,) = await db.reads.all(STEPS)
    other = (await send(ana, EMPTY)).json()["id"]
    async with db.transaction() as tx:
        if how == "it was cancelled":
            assert await inspection.cancel(tx, job_id)
        else:
            await tx.execute(LAST_ATTEMPT, job_id=job_id, attempts=jobs.RETRY.attempts)
    await run_job(running, jobs.purge)
    if how != "it was cancelled":
        shown = (await ana.get(f"/imports/{import_id}")).json()
        assert shown["status"] == "pending", "it may be tried once more"
        await work(running)
        await run_job(running, jobs.purge)
    shown = (await ana.get(f"/imports/{import_id}")).json()
    assert (shown["status"], shown["finished_at"] is not None) == ("failed", True)
    await work(running)
    assert (await ana.get(f"/imports/{other}")).json()["status"] == "done"


async def test_the_log_tells_of_what_has_come_in(running: asgi.Running, ana: Person, bob: Person) -> None:
    await life(ana)
    await imported(running, bob, await exported(ana))
    came = await exported(bob)
    home = next(one for one in came["lists"] if not one["is_inbox"])
    answer = (await bob.get(f"/lists/{home['id']}/events")).json()
    assert [event["revision"] for event in answer["events"]] == list(range(1, answer["revision"] + 1))
    folded: dict[str, Any] = {}
    for event in answer["events"]:
        if "todo" in event["data"]:
            folded[event["data"]["todo"]["id"]] = event["data"]["todo"]
        elif "todo_id" in event["data"]:
            del folded[event["data"]["todo_id"]]
    listed = (await bob.get(f"/todos?list_id={home['id']}&size=200")).json()["items"]
    assert folded == {one["id"]: one for one in listed}
    new = await bob.todo("new", list_id=home["id"])
    assert new["position"] > max(one["position"] for one in listed)


async def test_what_cannot_come_in_is_told_and_the_rest_comes(running: asgi.Running, ana: Person) -> None:
    home, orphan, long = str(uuid4()), str(uuid4()), str(uuid4())
    chain = [str(uuid4()) for _ in range(8)]
    todos: list[dict[str, Any]] = [
        {"id": one, "list_id": home, "title": "x", "parent_id": above}
        for one, above in zip(chain, [None, *chain], strict=False)
    ]
    todos += [
        {"id": orphan, "list_id": home, "title": "orphan", "parent_id": str(uuid4())},
        {"id": long, "list_id": home, "title": "x" * 201},
        {"id": str(uuid4()), "list_id": str(uuid4()), "title": "nowhere"},
        {"nonsense": 1},
    ]
    done = await imported(running, ana, EMPTY | {"lists": [{"id": home, "name": "L"}], "todos": todos})
    assert (done["status"], done["created"], done["refused"]) == ("done", 10, 3)
    assert {fault["id"] for fault in done["errors"]} == {chain[6], orphan, long, None, todos[-2]["id"]}
    came = {one["id"]: one["parent_id"] for one in (await exported(ana))["todos"]}
    assert came[orphan] is None
    assert came[chain[6]] is None
    assert came[chain[7]] == chain[6]


@pytest.mark.parametrize(
    ("file", "status"),
    [
        ("", 400),
        ("{", 400),
        ('{"format": "doable", "version": 1, "todos": [{"id": 1}{"id": 2}]}', 400),
        ('{"format": "doable", "version": 1, "todos": [{"id": 1},]}', 400),
        ('{"format": "doable", "version": 1, "todos": [{"id": 1, "id": 2}]}', 400),
        ('{"format": "doable", "version": 1, "todos": [{"id": "\\ud800"}]}', 400),
        ('{"format": "doable", "version": 1, "todos": [' + '"x",' * 100_000 + '"x"]}', 400),
        ('{"format": "doable", "version": 2, "todos": [{"id": 1}]}', 422),
        ('{"format": "doable", "version": 1, "todos": [[]]}', 422),
        ('{"format": "doable", "version": 1, "lists": [[{}]]}', 422),
        ('{"format": "doable", "version": 1, "todos": [1, "x"]}', 422),
        ('{"format": "doable", "version": 1, "occurrences": null}', 422),
        ('{"lists": []}', 422),
        ("[]", 422),
    ],
)
async def test_what_is_no_file_is_refused_and_leaves_nothing(ana: Person, file: str, status: int) -> None:
    for _ in range(7):  # more than may be under way
        answer = await send(ana, file)
        assert answer.status_code == status, answer.text


async def test_what_is_not_known_is_ignored_whatever_it_is(running: asgi.Running, ana: Person) -> None:
    done = await imported(running, ana, {**EMPTY, "members": [[1], {"x": [{}]}, []], "log": [2], "more": None})
    assert (done["status"], done["errors"]) == ("done", [])


async def test_no_todo_of_a_file_recurs_beyond_what_can_be_counted(running: asgi.Running, ana: Person) -> None:
    often, too_often = str(uuid4()), str(uuid4())
    todos = [
        {
            "id": todo_id,
            "list_id": ana.inbox_id,
            "title": "daily",
            "due": {"date": "2026-11-22"},
            "recurrence": {"rule": "FREQ=DAILY", "done": done},
        }
        for todo_id, done in ((often, 1_000_000), (too_often, 2**31 - 1))
    ]
    history = [
        {"todo_id": often, "number": number, "due": {"date": "2026-11-21"}, "completed_at": "2026-11-22T08:41:52.123Z"}
        for number in (1_000_000, 2**31 - 1)
    ]
    done = await imported(running, ana, {**EMPTY, "todos": todos, "occurrences": history})
    assert [fault["id"] for fault in done["errors"]] == [too_often, None]
    rolled = await ana.put(f"/todos/{often}/completion", {"occurrence": "2026-11-22"})
    assert rolled.json()["recurrence"]["done"] == 1_000_001


async def test_a_key_makes_one_import_of_a_file_sent_twice(ana: Person) -> None:
    first, second = [await send(ana, EMPTY, **{"Idempotency-Key": "k"}) for _ in range(2)]
    assert first.json() == second.json()
    assert second.headers["idempotent-replayed"] == "true"
    other = await send(ana, {**EMPTY, "lists": [{"id": str(uuid4()), "name": "x"}]}, **{"Idempotency-Key": "k"})
    assert other.json()["error"]["code"] == "IDEMPOTENCY_MISMATCH"


async def test_a_person_has_five_imports_under_way_and_what_was_answered_is_no_sixth(ana: Person) -> None:
    first = await send(ana, EMPTY, **{"Idempotency-Key": "k"})
    for _ in range(4):
        assert (await send(ana, EMPTY)).status_code == 202
    again = await send(ana, EMPTY, **{"Idempotency-Key": "k"})
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    other = {**EMPTY, "todos": [{"id": str(uuid4())}]}
    refused = [await send(ana, EMPTY), await send(ana, EMPTY, **{"Idempotency-Key": "l"})]
    refused.append(await send(ana, other, **{"Idempotency-Key": "k"}))
    codes = [answer.json()["error"]["code"] for answer in refused]
    assert codes == ["LIMIT_REACHED", "LIMIT_REACHED", "IDEMPOTENCY_MISMATCH"]


async def test_a_file_whose_process_has_died_is_soon_no_import_under_way(running: asgi.Running, ana: Person) -> None:
    db: Database = running.state["db"]
    for _ in range(5):
        async with db.transaction() as tx:
            row = ImportRow(
                ids.new_id(),
                UUID(ana.user["id"]),
                "doable",
                "receiving",
                None,
                None,
                0,
                0,
                0,
                0,
                0,
                "[]",
                clock.now(),
                None,
            )
            await tx.execute(INSERT_IMPORT, **row._asdict())
    assert (await send(ana, EMPTY)).json()["error"]["code"] == "LIMIT_REACHED"
    with time_machine.travel(clock.now() + timedelta(minutes=11), tick=True):
        assert (await send(ana, EMPTY)).status_code == 202


async def test_files_may_be_larger_than_other_bodies_and_are_bounded(running: asgi.Running, ana: Person) -> None:
    home = str(uuid4())
    todos = [{"id": str(uuid4()), "list_id": home, "title": "x", "description": "y" * 900} for _ in range(1_500)]
    file = json.dumps(EMPTY | {"lists": [{"id": home, "name": "L"}], "todos": todos})
    assert len(file) > 1024 * 1024
    assert (await imported(running, ana, file))["created"] == 1_501
    answer = await send(ana, " " * (33 * 1024 * 1024))
    assert answer.status_code == 413


async def test_nobody_sees_the_imports_of_others(ana: Person, bob: Person) -> None:
    import_id = (await send(ana, EMPTY)).json()["id"]
    assert (await bob.get(f"/imports/{import_id}")).status_code == 404
    assert (await ana.get(f"/imports/{import_id}")).json()["status"] == "pending"


async def test_no_cell_of_a_spreadsheet_is_a_formula(ana: Person) -> None:
    titles = ["=HYPERLINK(1)", "+1", "-1", "@x", "＝1", 'say "hi"', "plain"]  # noqa: RUF001
    for title in titles:
        await ana.todo(title)
    answer = await ana.get("/export?format=csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    head, *rows = csv.reader(io.StringIO(answer.text))
    there = [row[head.index("title")] for row in rows]
    assert there == [*(f"'{title}" for title in titles[:5]), *titles[5:]]
    assert all(cell[:1] not in "=+-@" for row in rows for cell in row if cell)
    assert answer.text.startswith('"list","id"')


async def test_what_was_purged_comes_in_again_as_another_one_and_only_once(running: asgi.Running, ana: Person) -> None:
    todo = await ana.todo("back")
    below = await ana.todo("below", parent_id=todo["id"])
    file = await exported(ana)
    seen = {todo["id"]}
    for _ in range(3):
        (top,) = (one for one in (await exported(ana))["todos"] if one["title"] == "back")
        await ana.delete(f"/todos/{top['id']}")
        await ana.delete(f"/trash/{top['id']}")
        for created in (2, 0):
            done = await imported(running, ana, file)
            assert (done["created"], done["refused"], done["errors"]) == (created, 0, [])
        came = {one["title"]: one for one in (await exported(ana))["todos"]}
        assert came["below"]["parent_id"] == came["back"]["id"] not in seen
        seen.add(came["back"]["id"])
    assert below["id"] not in seen
