"""The daily digest: at its time, once a day, of what is due and one's own, for those alone who have asked for it."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import bindparam, select, update

from doable.accounts.tables import users
from doable.core import clock
from doable.core.jobs import BULK, Run, enqueue, job
from doable.core.jobs.tables import jobs as table
from doable.core.queries import query, scalar
from doable.digests import jobs, times
from tests.support import asgi
from tests.support.accounts import Mailbox, Wait
from tests.support.jobs import run_job
from tests.support.people import PASSWORD, Person
from tests.support.sharing import join

ZAGREB = "Europe/Zagreb"
WAITING_KEYS = query(scalar, select(table.c.key).where(table.c.name == "digests.send", table.c.state == "waiting"))


@job("digests.send", queue=BULK)
async def send_to(_run: Run, _user_id: UUID) -> None:
    """As it was before digests were of a day."""


DISABLE = update(users).values(disabled_at=bindparam("at"))


async def choose(person: Person, at: str | None) -> None:
    answer = await person.put("/users/me/digest", {"at": at})
    assert (answer.status_code, answer.json()) == (200, {"at": at})
    assert (await person.get("/users/me/digest")).json() == {"at": at}


async def digests(running: asgi.Running, mailbox: Mailbox, address: str = "ana@example.com") -> list[str]:
    """All that have come, once what is due now is done."""
    await run_job(running, jobs.plan)
    mails = [mail.replace("\r\n", "\n") for mail in await mailbox.to(address)]
    return [mail for mail in mails if ": Due on " in mail.partition("\n")[0]]


def soon(wait: Wait) -> str:
    """Half past seven; it is an hour earlier, in Zagreb."""
    now = clock.now().astimezone(ZoneInfo(ZAGREB))
    wait(datetime.combine(now.date() + timedelta(days=1), time(6, 30), now.tzinfo) - now)
    return "07:30"


def day(days: int) -> dict[str, Any]:
    return {"date": (clock.now().astimezone(ZoneInfo(ZAGREB)).date() + timedelta(days=days)).isoformat()}


async def test_who_asks_for_it_gets_a_digest_each_day_at_his_time(
    running: asgi.Running, ana: Person, mailbox: Mailbox, wait: Wait
) -> None:
    assert (await ana.get("/users/me/digest")).json() == {"at": None}
    at = soon(wait)
    await ana.log_in()
    await choose(ana, at)
    await ana.todo("Buy milk", due={**day(0), "time": "14:30"})
    await ana.todo("Pay the rent <b>", due=day(-3))
    await ana.todo("Not yet", due=day(2))
    await ana.todo("At any time")
    done = await ana.todo("Done", due=day(0))
    await ana.put(f"/todos/{done['id']}/completion")
    assert await digests(running, mailbox) == []
    wait(timedelta(hours=1))
    today = day(0)["date"]
    (mail,) = await digests(running, mailbox)
    assert mail.partition("\n")[0].endswith(f"Due on {today}")
    for words in (f"Today:\n\n- Buy milk ({today} 14:30)", f"Overdue:\n\n- Pay the rent <b> ({day(-3)['date']})"):
        assert words in mail
    assert not any(words in mail for words in ("Not yet", "any time", "Done", "more"))
    assert len(await digests(running, mailbox)) == 1, "once"
    wait(timedelta(hours=23))
    assert len(await digests(running, mailbox)) == 1
    wait(timedelta(hours=1))
    assert len(await digests(running, mailbox)) == 2


async def test_a_digest_has_what_is_mine_or_nobodys_in_lists_that_i_am_in(
    running: asgi.Running, ana: Person, bob: Person, mailbox: Mailbox, wait: Wait
) -> None:
    home, old = (await ana.list())["id"], (await ana.list())["id"]
    await join(ana, bob, home)
    at = soon(wait)
    for person in (ana, bob):
        await person.log_in()
    for name, list_id, assignee in (
        ("of Ana", home, ana.user["id"]),
        ("of nobody", home, None),
        ("of Bob", home, bob.user["id"]),
        ("archived", old, None),
    ):
        await ana.todo(name, list_id=list_id, assignee_id=assignee, due=day(0))
    await bob.todo("in his inbox", due=day(0))
    await ana.patch(f"/lists/{old}", {"archived": True})
    await choose(ana, at)
    wait(timedelta(hours=1))
    (mail,) = await digests(running, mailbox)
    assert ("of Ana" in mail, "of nobody" in mail) == (True, True)
    assert not any(words in mail for words in ("of Bob", "archived", "in his inbox"))


@pytest.mark.parametrize("why", ["never", "nothing due", "not proved", "deleted", "disabled"])
async def test_nobody_gets_a_digest_who_does_not_want_it_or_for_nothing(
    running: asgi.Running, ana: Person, bob: Person, mailbox: Mailbox, wait: Wait, why: str
) -> None:
    at = soon(wait)
    person = bob if why == "not proved" else ana
    await person.log_in()
    await choose(person, at)
    await person.todo(due=day(9 if why == "nothing due" else 0))
    if why == "never":
        await choose(person, None)
    if why == "deleted":
        gone = await ana.request("DELETE", "/users/me", json={"current_password": PASSWORD})
        assert gone.status_code == 204
    if why == "disabled":
        async with running.state["db"].transaction() as tx:
            await tx.execute(DISABLE, at=clock.now())
    wait(timedelta(hours=1))
    assert await digests(running, mailbox, person.user["email"]) == []


async def test_who_moves_gets_it_at_that_time_there(
    running: asgi.Running, ana: Person, mailbox: Mailbox, wait: Wait
) -> None:
    at = soon(wait)
    await ana.log_in()
    await ana.todo(due=day(-1))
    await choose(ana, at)
    await ana.patch("/users/me", {"timezone": "America/New_York"})
    wait(timedelta(hours=2))
    assert await digests(running, mailbox) == []
    wait(timedelta(hours=6))
    assert len(await digests(running, mailbox)) == 1


async def test_who_moves_east_past_that_time_gets_it_at_once_and_then_the_next_day(
    running: asgi.Running, ana: Person, mailbox: Mailbox, wait: Wait
) -> None:
    at = soon(wait)
    await ana.log_in()
    await ana.todo(due=day(-1))
    await choose(ana, at)
    await ana.patch("/users/me", {"timezone": "Asia/Tokyo"})
    assert len(await digests(running, mailbox)) == 1
    wait(timedelta(hours=15))
    assert len(await digests(running, mailbox)) == 1
    wait(timedelta(hours=3))
    assert len(await digests(running, mailbox)) == 2


async def test_who_moves_west_after_it_has_come_gets_no_second_one_that_day(
    running: asgi.Running, ana: Person, mailbox: Mailbox, wait: Wait
) -> None:
    at = soon(wait)
    await ana.log_in()
    await ana.todo(due=day(-1))
    await choose(ana, at)
    wait(timedelta(hours=1))
    assert len(await digests(running, mailbox)) == 1
    await ana.patch("/users/me", {"timezone": "America/New_York"})
    wait(timedelta(hours=8))
    assert len(await digests(running, mailbox)) == 1
    wait(timedelta(hours=23))
    assert len(await digests(running, mailbox)) == 2


async def test_a_digest_that_waits_is_another_than_that_of_the_next_day(
    running: asgi.Running, ana: Person, mailbox: Mailbox, wait: Wait
) -> None:
    at = soon(wait)
    await ana.log_in()
    await ana.todo(due=day(0))
    await choose(ana, at)
    wait(timedelta(hours=1, minutes=5))
    await run_job(running, jobs.plan)
    wait(timedelta(hours=23, minutes=56))
    await run_job(running, jobs.plan)
    today = day(0)["date"]
    waiting = await running.state["db"].reads.all(WAITING_KEYS)
    assert sorted(waiting) == [f"digest:{ana.user['id']}:{day(-1)['date']}", f"digest:{ana.user['id']}:{today}"]
    (mail,) = await digests(running, mailbox)
    assert mail.partition("\n")[0].endswith(f"Due on {today}"), "the other is most of a day late"


async def test_a_digest_that_is_late_comes_and_after_days_away_one_alone(
    running: asgi.Running, ana: Person, mailbox: Mailbox, wait: Wait
) -> None:
    at = soon(wait)
    await ana.log_in()
    await ana.todo(due=day(0))
    await choose(ana, at)
    wait(timedelta(hours=1))
    await run_job(running, jobs.plan)
    wait(timedelta(hours=11))
    assert len(await mailbox.to("ana@example.com")) == 2, "the first verifies her address"
    wait(timedelta(days=3))
    assert len(await digests(running, mailbox)) == 2
    assert len(await digests(running, mailbox)) == 2


async def test_what_is_due_at_an_instant_is_due_on_the_day_that_this_is_where_i_am(
    running: asgi.Running, ana: Person, mailbox: Mailbox, wait: Wait
) -> None:
    at = soon(wait)
    await ana.log_in()
    await choose(ana, at)
    for title, due in (
        ("this afternoon", {**day(1), "time": "01:00", "timezone": "Asia/Tokyo"}),
        ("tomorrow", {**day(0), "time": "23:00", "timezone": "America/Los_Angeles"}),
        ("yesterday", {**day(0), "time": "00:30", "timezone": "Pacific/Kiritimati"}),
    ):
        await ana.todo(title, due=due)
    created = [{"op": "todo.create", "data": {"title": "of the next days", "due": day(1 + n % 2)}} for n in range(100)]
    for _ in range(2):
        assert (await ana.post("/batch", {"operations": created})).status_code == 200
    wait(timedelta(hours=1))
    (mail,) = await digests(running, mailbox)
    today, overdue = mail.split("Overdue:")
    assert f"this afternoon ({day(0)['date']} " in today
    assert f"yesterday ({day(-1)['date']} " in overdue
    assert "tomorrow" not in mail
    assert "of the next" not in mail


async def test_of_very_many_the_latest_are_named(
    running: asgi.Running, ana: Person, mailbox: Mailbox, wait: Wait
) -> None:
    at = soon(wait)
    await ana.log_in()
    await choose(ana, at)
    created = [{"op": "todo.create", "data": {"title": f"number {n}!", "due": day(-n)}} for n in range(104)]
    for half in (created[:60], created[60:]):
        assert (await ana.post("/batch", {"operations": half})).status_code == 200
    wait(timedelta(hours=1))
    (mail,) = await digests(running, mailbox)
    assert "there is more" in mail
    assert [f"number {n}!" in mail for n in (0, 1, 99, 100, 103)] == [True, True, True, False, False]


@pytest.mark.parametrize("body", [{}, {"at": "7:30"}, {"at": "24:00"}, {"at": 7}, {"at": "07:30", "x": 1}])
async def test_what_is_no_time_is_refused(ana: Person, body: dict[str, object]) -> None:
    assert (await ana.put("/users/me/digest", body)).status_code == 422
    assert (await ana.get("/users/me/digest")).json() == {"at": None}


@pytest.mark.parametrize(
    ("now", "at", "following"),
    [
        (datetime(2026, 6, 1, 5, 29, tzinfo=UTC), time(7, 30), datetime(2026, 6, 1, 5, 30, tzinfo=UTC)),
        (datetime(2026, 6, 1, 5, 30, tzinfo=UTC), time(7, 30), datetime(2026, 6, 2, 5, 30, tzinfo=UTC)),
        (datetime(2026, 3, 28, 12, tzinfo=UTC), time(2, 30), datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        (datetime(2026, 10, 24, 12, tzinfo=UTC), time(2, 30), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), time(2, 30), datetime(2026, 10, 26, 1, 30, tzinfo=UTC)),
        (datetime(2026, 6, 1, 23, 30, tzinfo=UTC), time(1), datetime(2026, 6, 2, 23, 0, tzinfo=UTC)),
    ],
)
def test_the_next_one_is_at_the_same_time_of_the_day_whatever_the_clocks_do(
    now: datetime, at: time, following: datetime
) -> None:
    assert times.after(now, at, ZAGREB) == following


@pytest.mark.parametrize("minute", range(0, 60, 10))
def test_the_last_one_has_come_where_the_clocks_leave_its_time_out(minute: int) -> None:
    nuuk, at = "America/Nuuk", time(23, 30)
    now = datetime(2027, 3, 28, 1, minute, tzinfo=UTC)
    found = times.latest(now, at, nuuk)
    assert timedelta(0) <= now - found <= timedelta(hours=25)


async def test_what_an_earlier_version_has_left_to_send_is_sent_unless_it_is_late(
    running: asgi.Running, ana: Person, mailbox: Mailbox, wait: Wait
) -> None:
    await ana.todo(due=day(0))
    await choose(ana, "07:30")
    for late in (timedelta(0), timedelta(hours=13)):
        async with running.state["db"].transaction() as tx:
            await enqueue(tx, send_to, UUID(ana.user["id"]))
        wait(late)  # the database's clock goes on as ever
        mails = await mailbox.to("ana@example.com")
        assert len(mails) == 2, "the first verifies her address"
