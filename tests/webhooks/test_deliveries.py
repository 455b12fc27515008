"""What webhooks are sent: each event once, signed, again until it is taken, and nothing that its maker may not see."""

import asyncio
import time
from datetime import timedelta

import pytest
import standardwebhooks
from sqlalchemy import select, update

from doable import runtime
from doable.core import clock, following, outbound
from doable.core.db import Database
from doable.core.jobs import WEBHOOKS
from doable.core.jobs import worker as worker_module
from doable.core.jobs.bell import Bell
from doable.core.jobs.statements import NOW
from doable.core.jobs.tables import jobs
from doable.core.jobs.worker import Worker
from doable.core.queries import query, scalar
from doable.core.telemetry import Metrics
from doable.webhooks import schedule
from doable.webhooks.tables import webhooks
from tests.support import asgi
from tests.support.accounts import Wait
from tests.support.jobs import work
from tests.support.people import Person
from tests.support.receivers import Receiver, listening, log, skip_ahead, subscribe
from tests.support.sharing import join
from tests.support.waiting import until


async def test_a_receiver_verifies_what_it_is_sent(running: asgi.Running, ana: Person, receiver: Receiver) -> None:
    home = (await ana.list())["id"]
    hook = await subscribe(ana, receiver, list_id=home)
    await ana.todo("Buy milk", list_id=home)
    await work(running)
    (received,) = receiver.received
    verified = received.verify(hook["secret"])
    event = (await ana.get(f"/lists/{home}/events")).json()["events"][-1]
    assert verified == {"type": "todo.created", "timestamp": event["at"], "data": event}
    assert (received.path, received.headers["content-type"]) == ("/hook", "application/json")
    other = (await subscribe(ana, receiver, list_id=home))["secret"]
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        received.verify(other)
    (delivery,) = await log(ana, hook["id"])
    created_at = delivery.pop("created_at")
    assert created_at >= event["at"]
    assert delivery == {
        "id": received.id,
        "webhook_id": hook["id"],
        "kind": "todo.created",
        "list_id": home,
        "revision": event["revision"],
        "status": "delivered",
        "attempts": 1,
        "response_status": 204,
        "next_attempt_at": None,
    }


async def test_each_event_is_sent_once_and_only_of_the_kinds_that_are_wanted(
    running: asgi.Running, ana: Person, receiver: Receiver
) -> None:
    home = (await ana.list())["id"]
    before = await ana.todo("before it", list_id=home)
    hook = await subscribe(ana, receiver, list_id=home, kinds=["todo.completed", "todo.created"])
    async with listening() as everything:
        await subscribe(ana, everything, list_id=home)
        todos = await asyncio.gather(*(ana.todo(f"{n}", list_id=home) for n in range(5)))
        await asyncio.gather(*(ana.patch(f"/todos/{todo['id']}", {"title": "x"}) for todo in todos))
        await work(running)
        await ana.put(f"/todos/{before['id']}/completion")
        await ana.todo("elsewhere")
        await work(running)
        await work(running)
        assert sorted(receiver.kinds()) == ["todo.completed"] + ["todo.created"] * 5
        assert sorted(everything.kinds()) == ["todo.completed"] + ["todo.created"] * 5 + ["todo.updated"] * 5
        revisions = [each.json["data"]["revision"] for each in everything.received]
        assert sorted(revisions) == list(range(min(revisions), min(revisions) + 11))
    assert len({each.id for each in receiver.received}) == 6 == len(await log(ana, hook["id"]))


async def test_a_webhook_of_mine_is_told_of_every_list_that_i_am_in_while_i_am_in_it(
    running: asgi.Running, ana: Person, bob: Person, receiver: Receiver
) -> None:
    theirs = (await ana.list("Theirs"))["id"]
    await subscribe(bob, receiver)
    await ana.todo(list_id=theirs)  # before he is in it
    await join(ana, bob, theirs)
    own = await bob.list("Own")
    await bob.todo("in the inbox")
    await work(running)
    places = sorted((each.json["data"]["list_id"], each.json["type"]) for each in receiver.received)
    assert places == sorted(
        [
            (theirs, "member.added"),
            (own["id"], "list.created"),
            (own["id"], "member.added"),
            (bob.inbox_id, "todo.created"),
        ]
    )
    await ana.todo("the last that he sees", list_id=theirs)
    await work(running)
    count = len(receiver.received)
    await ana.todo("not sent in time", list_id=theirs)
    await ana.delete(f"/lists/{theirs}/members/{bob.user['id']}")
    await ana.todo("secret", list_id=theirs)
    await work(running)
    assert len(receiver.received) == count


async def test_what_was_made_for_a_member_is_not_sent_when_he_has_left(
    running: asgi.Running, ana: Person, bob: Person, receiver: Receiver
) -> None:
    home = (await ana.list())["id"]
    await join(ana, bob, home)
    hook = await subscribe(bob, receiver)
    receiver.status = 500
    await ana.todo(list_id=home)
    await work(running)
    assert [delivery["status"] for delivery in await log(bob, hook["id"])] == ["failed"]
    await ana.delete(f"/lists/{home}/members/{bob.user['id']}")
    receiver.status = 204
    await skip_ahead(running)
    await work(running)
    assert len(receiver.received) == 1
    (delivery,) = await log(bob, hook["id"])
    assert (delivery["status"], delivery["attempts"]) == ("dead", 2)


async def test_a_delivery_that_fails_is_sent_again_with_the_same_id_for_three_days(
    running: asgi.Running, ana: Person, receiver: Receiver
) -> None:
    hook = await subscribe(ana, receiver)
    receiver.status = 500
    await ana.todo()
    for attempt in range(1, len(schedule.PAUSES) + 2):
        await work(running)
        (delivery,) = await log(ana, hook["id"])
        assert (len(receiver.received), delivery["attempts"], delivery["response_status"]) == (attempt, attempt, 500)
        await skip_ahead(running)
    (delivery,) = await log(ana, hook["id"])
    assert (delivery["status"], delivery["next_attempt_at"]) == ("dead", None)
    await work(running)
    assert len(receiver.received) == len(schedule.PAUSES) + 1
    assert len({each.id for each in receiver.received}) == 1
    assert timedelta(days=2.8) < sum(schedule.PAUSES, timedelta()) < timedelta(days=3.2)
    receiver.status = 200
    again = await ana.post(f"/webhooks/{hook['id']}/deliveries/{delivery['id']}/retry")
    assert (again.status_code, again.json()["status"], again.json()["attempts"]) == (202, "pending", 0)
    await work(running)
    assert receiver.received[-1].id == delivery["id"]
    assert receiver.received[-1].verify(hook["secret"])["type"] == "todo.created"
    assert [each["status"] for each in await log(ana, hook["id"])] == ["delivered"]


async def test_a_receiver_that_has_gone_is_not_asked_again(
    running: asgi.Running, ana: Person, receiver: Receiver
) -> None:
    hook = await subscribe(ana, receiver)
    receiver.status = 410
    await ana.todo()
    await work(running)
    assert (await ana.get(f"/webhooks/{hook['id']}")).json()["status"] == "disabled"
    assert [each["status"] for each in await log(ana, hook["id"])] == ["dead"]
    receiver.status = 200
    await ana.todo()
    await work(running)
    assert len(receiver.received) == 1
    active = await ana.patch(f"/webhooks/{hook['id']}", {"status": "active"})
    assert active.json()["status"] == "active"
    await ana.todo()
    await work(running)
    assert len(receiver.received) == 2


async def test_a_receiver_that_wants_to_be_left_alone_is(
    running: asgi.Running, ana: Person, receiver: Receiver
) -> None:
    hook = await subscribe(ana, receiver)
    receiver.status, receiver.headers = 503, {"Retry-After": "7200"}
    await ana.todo()
    await work(running)
    receiver.status = 200
    await ana.todo()
    await work(running)
    assert len(receiver.received) == 1
    first, second = await log(ana, hook["id"])
    waits = time.time() + 7000
    assert first["next_attempt_at"] > time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(waits))
    assert (first["status"], second["status"]) == ("failed", "pending")
    await skip_ahead(running)
    await work(running)
    assert len(receiver.received) == 3
    assert [each["status"] for each in await log(ana, hook["id"])] == ["delivered", "delivered"]


async def test_a_receiver_that_fails_for_three_days_is_paused_and_shown(
    running: asgi.Running, ana: Person, receiver: Receiver, wait: Wait
) -> None:
    hook = await subscribe(ana, receiver)
    receiver.status = 302
    receiver.headers = {"Location": receiver.url}
    await ana.todo()
    await work(running)
    assert (await ana.get("/webhooks")).json()["items"][0]["status"] == "active"
    wait(schedule.PATIENCE)
    await ana.log_in()
    await skip_ahead(running)
    await work(running)
    assert len(receiver.received) == 2, "a redirect is not followed"
    assert (await ana.get(f"/webhooks/{hook['id']}")).json()["status"] == "paused"
    await skip_ahead(running)
    await work(running)
    assert len(receiver.received) == 2
    assert [each["status"] for each in await log(ana, hook["id"])] == ["dead"]


async def test_what_waits_while_it_is_paused_by_hand_is_not_given_up_for_pings_that_fail(
    running: asgi.Running, ana: Person, receiver: Receiver, wait: Wait
) -> None:
    hook = await subscribe(ana, receiver)
    receiver.status = 500
    await ana.todo()
    await work(running)
    await ana.patch(f"/webhooks/{hook['id']}", {"status": "paused"})
    for _ in range(2):
        await ana.post(f"/webhooks/{hook['id']}/ping")
        await work(running)
        wait(schedule.PATIENCE)
        await ana.log_in()
    receiver.status = 204
    await ana.patch(f"/webhooks/{hook['id']}", {"status": "active"})
    await skip_ahead(running)
    await work(running)
    assert receiver.kinds() == ["todo.created", "ping", "ping", "todo.created"]


async def test_while_a_webhook_is_paused_by_hand_what_waits_goes_on_waiting(
    running: asgi.Running, ana: Person, receiver: Receiver
) -> None:
    hook = await subscribe(ana, receiver)
    receiver.status = 500
    await ana.todo()
    await work(running)
    receiver.status = 204
    await ana.todo()
    await ana.patch(f"/webhooks/{hook['id']}", {"status": "paused"})
    retried = (await log(ana, hook["id"]))[-1]["id"]
    await ana.post(f"/webhooks/{hook['id']}/deliveries/{retried}/retry")
    await skip_ahead(running)
    await work(running)
    await ana.todo(title="in between")
    await work(running)
    assert len(receiver.received) == 1
    assert "delivered" not in [each["status"] for each in await log(ana, hook["id"])]
    await ana.post(f"/webhooks/{hook['id']}/ping")
    await work(running)
    assert receiver.kinds() == ["todo.created", "ping"]
    await ana.patch(f"/webhooks/{hook['id']}", {"status": "active"})
    await work(running)
    assert receiver.kinds()[2:] == ["todo.created"] * (len(await log(ana, hook["id"])) - 1)
    assert {each["status"] for each in await log(ana, hook["id"])} == {"delivered"}


async def test_a_slow_receiver_makes_nobody_wait_but_itself(
    running: asgi.Running, ana: Person, receiver: Receiver
) -> None:
    home = (await ana.list())["id"]
    slow = await subscribe(ana, receiver, list_id=home)
    receiver.delay = 0.5
    async with listening() as quick:
        await subscribe(ana, quick, list_id=home)
        for n in range(20):
            await ana.todo(f"{n}", list_id=home)
        working = asyncio.create_task(work(running))
        await until(lambda: len(quick.received) == 20)
        assert len(receiver.received) < 20
        receiver.delay = 0
        await working
    assert [each["status"] for each in await log(ana, slow["id"])] == ["delivered"] * 20
    assert len(receiver.received) == 20


async def test_many_receivers_that_hang_make_nobody_wait_but_each_other(
    running: asgi.Running, ana: Person, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as could be sent to at once, and one more, have failed once and then hang; the last one works."""
    monkeypatch.setattr(outbound, "TOTAL_SECONDS", 3600.0)
    for _ in range(WEBHOOKS.slots + 1):
        await subscribe(ana, receiver)
    receiver.status = 500
    await ana.todo()
    await work(running)
    receiver.delay = 3600
    async with listening() as quick:
        await subscribe(ana, quick)
        worker: Worker = running.state["worker"]
        await worker.start()
        for count in (1, 2, 3):
            await ana.todo()
            await until(lambda count=count: len(quick.received) == count)  # type: ignore[misc]
        monkeypatch.setattr(worker_module, "CLOSE_SECONDS", 0.2)
        await worker.close()


async def test_a_list_that_is_written_all_the_time_is_followed_in_turns(
    running: asgi.Running, ana: Person, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await subscribe(ana, receiver)
    for n in range(3):
        await ana.todo(f"{n}")
    monkeypatch.setattr(following, "AT_ONCE", 1)
    monkeypatch.setattr(following, "TURN_SECONDS", -1.0)
    await work(running)
    database: Database = running.state["db"]
    assert len(await database.reads.all(query(scalar, select(jobs.c.id).where(jobs.c.name == "core.follow")))) > 3
    assert len(receiver.received) == 3 == len({each.id for each in receiver.received})


async def test_several_workers_send_each_delivery_once(running: asgi.Running, ana: Person, receiver: Receiver) -> None:
    hook = await subscribe(ana, receiver)
    receiver.delay = 0.3
    first: Worker = running.state["worker"]
    others = [Worker(first._tools, runtime.all_jobs(), Bell(), Metrics().jobs) for _ in range(3)]
    await asyncio.gather(*(ana.todo() for _ in range(5)))
    sending = asyncio.create_task(first.drain())
    await until(lambda: bool(receiver.received))
    for worker in others:
        await ana.todo()
        await worker.drain()
    await asyncio.gather(sending, *(worker.drain() for worker in others))
    assert len(receiver.received) == 8 == len({each.id for each in receiver.received})
    assert [(each["status"], each["attempts"]) for each in await log(ana, hook["id"])] == [("delivered", 1)] * 8


async def test_a_delivery_whose_worker_has_died_is_sent_by_another(
    running: asgi.Running, ana: Person, receiver: Receiver
) -> None:
    hook = await subscribe(ana, receiver)
    receiver.delay = 30
    await ana.todo()
    working = asyncio.create_task(work(running))
    await until(lambda: bool(receiver.received))
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    receiver.delay = 0
    await ana.post(f"/webhooks/{hook['id']}/ping")
    await work(running)
    assert len(receiver.received) == 1, "it is somebody else's still"
    database: Database = running.state["db"]
    async with database.transaction() as tx:
        await tx.execute(update(webhooks).values(busy_until=clock.now() - timedelta(seconds=1)))
        await tx.execute(update(jobs).where(jobs.c.key == f"webhook-held:{hook['id']}").values(run_at=NOW))
    await work(running)
    lost, again, _ping = receiver.received
    assert lost.id == again.id
    delivery, *_ = await log(ana, hook["id"])
    assert (delivery["status"], delivery["attempts"]) == ("delivered", 2)


async def test_a_ping_says_nothing_and_is_sent_once(running: asgi.Running, ana: Person, receiver: Receiver) -> None:
    hook = await subscribe(ana, receiver, kinds=["todo.created"])
    receiver.status = 500
    asked = await ana.post(f"/webhooks/{hook['id']}/ping")
    assert (asked.status_code, asked.json()["status"], asked.json()["kind"]) == (202, "pending", "ping")
    await work(running)
    (received,) = receiver.received
    assert received.verify(hook["secret"]) == {"type": "ping", "timestamp": asked.json()["created_at"], "data": {}}
    (delivery,) = await log(ana, hook["id"])
    assert (delivery["id"], delivery["status"], delivery["response_status"]) == (received.id, "dead", 500)


async def test_a_new_secret_signs_beside_the_old_one_for_a_day(
    running: asgi.Running, ana: Person, receiver: Receiver, wait: Wait
) -> None:
    hook = await subscribe(ana, receiver)
    new = (await ana.post(f"/webhooks/{hook['id']}/secret")).json()["secret"]
    await ana.todo()
    await work(running)
    assert receiver.received[0].verify(new) == receiver.received[0].verify(hook["secret"])
    assert new != hook["secret"]
    wait(timedelta(days=1, minutes=1))
    await ana.log_in()
    await ana.post(f"/webhooks/{hook['id']}/ping")
    await work(running)
    assert " " not in receiver.received[1].headers["webhook-signature"]


async def test_a_receiver_that_hangs_makes_no_writer_wait(
    running: asgi.Running, ana: Person, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hangs when the writes come, and still does when they are answered."""
    monkeypatch.setattr(outbound, "TOTAL_SECONDS", 3600.0)
    await subscribe(ana, receiver)
    receiver.delay = 3600
    await ana.todo()
    working = asyncio.create_task(work(running))
    await until(lambda: bool(receiver.received))
    todo = await ana.todo()
    assert (await ana.patch(f"/todos/{todo['id']}", {"title": "x"})).status_code == 200
    assert (await ana.put(f"/todos/{todo['id']}/completion")).status_code == 200
    assert (await ana.delete(f"/todos/{todo['id']}")).status_code == 204
    assert (len(receiver.received), working.done()) == (1, False)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
