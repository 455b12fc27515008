"""What must be so after any fault: each write once or never, the log without a gap, every mail and webhook sent."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from doable.core.faults import Unavailable
from tests.support import folding
from tests.support.ledger import REFUSED, Entry, Ledger, Outcome
from tests.support.receivers import Received, Receiver
from tests.support.sinks import Mails

type Json = dict[str, Any]

PATIENCE = 25.0
"""Seconds without anything new, after which nothing more is expected."""
PUSHED = 5.0
"""Seconds: what has not come by then waits to be tried again, and is made due."""

type Push = Callable[[], Awaitable[None]]


@dataclass
class Verdict:
    """What was found. `repeated` mails and webhooks came more than once, under the same id, as is allowed."""

    acknowledged: int
    refused: int
    unanswered: int
    """Attempts whose outcome was unknown and which were sent again."""
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    """What was refused, and is there all the same."""
    problems: list[str] = field(default_factory=list)
    slowest: float = 0.0
    repeated: int = 0

    def check(self, *, slowest: float) -> None:
        wrong = {"lost": self.lost, "doubled": self.doubled, "invented": self.invented, "problems": self.problems}
        assert not any(wrong.values()), {name: found[:5] for name, found in wrong.items() if found}
        assert self.slowest <= slowest, f"a request took {self.slowest:.1f} s"


async def judge(ledger: Ledger, push: Push, mails: Mails, hooks: Receiver | None = None) -> Verdict:
    """Look at everything that was written. Raises where the log has a gap, or a follower's copy differs from GET.

    `push` makes what waits to be sent due at once.
    """
    verdict = Verdict(
        acknowledged=sum(entry.outcome is Outcome.OK for entry in ledger.entries),
        refused=sum(entry.outcome is Outcome.FAIL for entry in ledger.entries),
        unanswered=sum(attempt.status is None or attempt.status >= 500 for attempt in ledger.attempts),
        problems=[attempt.problem for attempt in ledger.attempts if attempt.problem],
        slowest=max((attempt.seconds for attempt in ledger.attempts), default=0.0),
    )
    titles: Counter[str] = Counter()
    revisions: dict[str, int] = {}
    for list_id in ledger.list_ids:
        titles += await _titles(ledger, list_id)
        revisions[list_id] = await _compare(ledger, list_id)
    written = [entry for entry in ledger.entries if "@" not in entry.title]
    _count(verdict, written, titles)
    await _look_for_mails(verdict, ledger, mails, push)
    if hooks is not None:
        await _look_for_webhooks(verdict, ledger, hooks, revisions, push)
    return verdict


def _count(verdict: Verdict, written: list[Entry], titles: Counter[str]) -> None:
    for entry in written:
        found = titles[entry.title]
        if entry.outcome is Outcome.OK and not found:
            verdict.lost.append(entry.title)
        if entry.outcome is Outcome.FAIL and found:
            verdict.invented.append(entry.title)
        if found > 1:
            verdict.doubled.append(entry.title)


async def _titles(ledger: Ledger, list_id: str) -> Counter[str]:
    """How often each title was given, by the log."""
    titles: Counter[str] = Counter()
    after, more = 0, True
    while more:
        answer = await ledger.person.get(f"/lists/{list_id}/events?after={ledger.epoch}:{after}&limit=1000")
        assert answer.status_code == 200, answer.text
        page = answer.json()
        for event in page["events"]:
            assert event["revision"] == after + 1, "the log has a gap"
            after += 1
            if event["kind"] == "todo.created" or "title" in (event["data"].get("changes") or {}):
                titles[event["data"]["todo"]["title"]] += 1
        more = page["more"]
    return titles


async def _compare(ledger: Ledger, list_id: str) -> int:
    """All copies with what GET shows; the newest revision."""
    shown = await folding.shown(ledger.person, list_id)
    whole = await folding.fold(ledger.person, list_id, limit=500)
    copies = [whole, *(follower.copy for follower in ledger.followers if follower.list_id == list_id)]
    for copy in copies:
        assert copy.revision == whole.revision
        assert (copy.home, copy.in_order()) == shown
    return whole.revision


async def _look_for_mails(verdict: Verdict, ledger: Ledger, mails: Mails, push: Push) -> None:
    invited = {entry.title for entry in ledger.entries if "@" in entry.title and entry.outcome is Outcome.OK}
    await _until(lambda: invited <= mails.addresses, lambda: len(mails.arrived), push)
    verdict.lost += sorted(invited - mails.addresses)
    known = {entry.title for entry in ledger.entries} | {ledger.person.user["email"]} | ledger.friends
    verdict.invented += sorted(mails.addresses - known)
    verdict.repeated += mails.doubled


async def _look_for_webhooks(
    verdict: Verdict, ledger: Ledger, hooks: Receiver, revisions: dict[str, int], push: Push
) -> None:
    first = 3  # a list begins with two events, and its webhook is made after them
    wanted = {(list_id, n) for list_id, newest in revisions.items() for n in range(first, newest + 1)}
    await _until(lambda: wanted <= {_event(received) for received in hooks.received}, lambda: len(hooks.received), push)
    ids: dict[tuple[str, int], set[str]] = {}
    for received in hooks.received:
        list_id, revision = _event(received)
        received.verify(ledger.webhooks[list_id])
        assert REFUSED not in received.body.decode()
        ids.setdefault((list_id, revision), set()).add(received.id)
    verdict.lost += [f"webhook of {list_id}:{n}" for list_id, n in sorted(wanted - ids.keys())]
    verdict.invented += [f"webhook of {list_id}:{n}" for list_id, n in sorted(ids.keys() - wanted)]
    verdict.doubled += [f"webhook of {event}" for event, known in ids.items() if len(known) > 1]
    verdict.repeated += len(hooks.received) - len(ids)


def _event(received: Received) -> tuple[str, int]:
    data = received.json["data"]
    return data["list_id"], data["revision"]


async def _until(holds: Callable[[], bool], seen: Callable[[], int], push: Push) -> None:
    loop = asyncio.get_running_loop()
    most, moved, pushed = seen(), loop.time(), loop.time() - PUSHED
    while not holds() and loop.time() < moved + PATIENCE:
        if seen() > most:
            most, moved = seen(), loop.time()
        if loop.time() > pushed + PUSHED:
            with suppress(Unavailable):  # a machine that is busy, too; it is tried again
                await push()
            pushed = loop.time()
        await asyncio.sleep(0.1)
