"""A client that knows what it was promised: it writes, notes what was acknowledged, and looks afterwards.

Each write has a key and a title of its own. One whose outcome is unknown (5xx, timeout, reset) is sent again with the
same key until it has one. Meanwhile two readers follow each list, by a room and by polling, over all breaks.
"""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, NamedTuple

import httpx2

from tests.support import folding, receivers
from tests.support.followers import Follower, Poller, RoomReader
from tests.support.people import Person, register
from tests.support.receivers import Receiver

type Json = dict[str, Any]

LISTS = 2
TIMEOUT = 20.0
PATIENCE = 60.0
RETRY = 0.15
REFUSED = "refused"
MOST_INVITATIONS = 20
"""More are refused within an hour."""


class Outcome(Enum):
    OK = auto()
    FAIL = auto()
    """Refused: nothing may have happened."""
    INFO = auto()
    """Unknown: it may have happened or not."""


class Attempt(NamedTuple):
    """One request; without a status it has had no answer."""

    began: float
    seconds: float
    status: int | None
    problem: str | None


@dataclass
class Entry:
    """A write: to make a todo, to rename one, to invite somebody, or one that has to be refused."""

    title: str
    list_id: str
    method: str
    path: str
    body: Json
    headers: dict[str, str] = field(default_factory=dict)
    outcome: Outcome = Outcome.INFO
    acknowledged: float = 0.0


class Ledger:
    def __init__(self, base_url: str, seed: int, *, writers: int = 6, pause: float = 0.15, lists: int = LISTS) -> None:
        self.client = httpx2.AsyncClient(base_url=base_url, timeout=TIMEOUT, trust_env=False)
        self.entries: list[Entry] = []
        self.attempts: list[Attempt] = []
        self.followers: list[Follower] = []
        self.list_ids: list[str] = []
        self.webhooks: dict[str, str] = {}
        self.friends: set[str] = set()  # addresses of others, who get mails, too
        self._chance = random.Random(seed)  # noqa: S311 — no secret
        self._writers, self._pause, self._lists = writers, pause, lists
        self._numbers = itertools.count()
        self._invitations = 0
        self._mine: list[tuple[str, str]] = []
        self._stopping = asyncio.Event()
        self.person: Person

    async def open(self, receiver: Receiver | None = None) -> None:
        """Register, make the lists and, with a receiver, a webhook for each."""
        self.person = await register(self.client, f"writer{self._chance.randrange(10**6)}")
        self.epoch = await folding.epoch_of(self.person)
        for n in range(self._lists):
            list_id = (await self.person.list(f"list {n}"))["id"]
            self.list_ids.append(list_id)
            if receiver is not None:
                self.webhooks[list_id] = (await receivers.subscribe(self.person, receiver, list_id=list_id))["secret"]

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Writers and followers are at work; in the end every write has an outcome and every event has been seen."""
        self.followers = [kind(self.person, one, self.epoch) for one in self.list_ids for kind in (RoomReader, Poller)]
        following = [asyncio.create_task(follower.follow(), name="follower") for follower in self.followers]
        writing = [asyncio.create_task(self._write_on(), name="writer") for _ in range(self._writers)]
        try:
            yield
            self._stopping.set()
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*writing)
                await asyncio.gather(*(self._followed(follower) for follower in self.followers))
        finally:
            for task in (*writing, *following):
                task.cancel()
            await asyncio.gather(*writing, *following, return_exceptions=True)
            self._stopping.clear()

    async def close(self) -> None:
        await self.client.aclose()

    def move_to(self, base_url: str) -> None:
        """The server has another address now."""
        self.client.base_url = base_url

    async def acknowledgement(self, since: float, *, within: float) -> float:
        """Wait for the first write that is acknowledged after this moment; how many seconds after it that was."""
        async with asyncio.timeout(within):
            while True:
                if found := [entry.acknowledged for entry in self.entries if entry.acknowledged > since]:
                    return min(found) - since
                await asyncio.sleep(0.01)

    def statuses(self) -> Counter[int | None]:
        return Counter(attempt.status for attempt in self.attempts)

    async def _write_on(self) -> None:
        while not self._stopping.is_set():
            entry = self._intend()
            self.entries.append(entry)
            await self._settle(entry)
            await asyncio.sleep(self._chance.uniform(0, 2 * self._pause))

    def _intend(self) -> Entry:
        n = next(self._numbers)
        list_id = self._chance.choice(self.list_ids)
        roll = self._chance.random()
        if self._mine and roll < 0.25:
            list_id, todo_id = self._chance.choice(self._mine)
            return Entry(f"title {n}", list_id, "PATCH", f"/todos/{todo_id}", {"title": f"title {n}"})
        if self._mine and roll < 0.3:
            list_id, todo_id = self._chance.choice(self._mine)
            stale = {"If-Match": f'"{self.epoch}.0"'}
            return Entry(f"{REFUSED} {n}", list_id, "PATCH", f"/todos/{todo_id}", {"title": f"{REFUSED} {n}"}, stale)
        if roll < 0.36 and self._invitations < MOST_INVITATIONS:
            self._invitations += 1
            body = {"email": f"guest{n}@example.com", "role": "viewer"}
            return Entry(body["email"], list_id, "POST", f"/lists/{list_id}/invitations", body)
        return Entry(f"title {n}", list_id, "POST", "/todos", {"title": f"title {n}", "list_id": list_id})

    async def _settle(self, entry: Entry) -> None:
        headers = {"Idempotency-Key": entry.title, **entry.headers}
        while entry.outcome is Outcome.INFO:
            answer = await self.send(entry.method, entry.path, entry.body, headers)
            entry.outcome = _outcome(answer)
            if answer is None or entry.outcome is Outcome.INFO:
                await asyncio.sleep(RETRY * self._chance.uniform(0.5, 1.5))
            elif entry.outcome is Outcome.OK:
                entry.acknowledged = time.monotonic()
                if entry.path == "/todos":
                    self._mine.append((entry.list_id, answer.json()["id"]))

    async def send(self, method: str, path: str, body: object, headers: dict[str, str]) -> httpx2.Response | None:
        """A request that is noted, whatever becomes of it; without an answer `None`."""
        began, answer, problem = time.monotonic(), None, None
        try:
            answer = await self.person.request(method, path, json=body, headers=headers)
            problem = _problem(answer)
        except httpx2.TransportError as error:
            problem = "no answer in time" if isinstance(error, httpx2.TimeoutException) else None
        status = None if answer is None else answer.status_code
        self.attempts.append(Attempt(began, time.monotonic() - began, status, problem))
        return answer

    async def _followed(self, follower: Follower) -> None:
        revision = await self._revision(follower.list_id)
        while follower.copy.revision < revision:  # noqa: ASYNC110 — a follower rings no bell
            await asyncio.sleep(0.05)

    async def _revision(self, list_id: str) -> int:
        answer = None
        while answer is None or answer.status_code != 200:
            answer = await self.send("GET", f"/lists/{list_id}/events?after={self.epoch}:0&limit=1", None, {})
        return int(answer.json()["revision"])


def _outcome(answer: httpx2.Response | None) -> Outcome:
    if answer is None or answer.status_code >= 500 or answer.status_code == 429:
        return Outcome.INFO
    if answer.is_success:
        return Outcome.OK
    in_progress = answer.status_code == 409 and answer.json()["error"]["code"] == "IDEMPOTENCY_IN_PROGRESS"
    return Outcome.INFO if in_progress else Outcome.FAIL


def _problem(answer: httpx2.Response) -> str | None:
    """What no fault excuses."""
    if answer.status_code == 500:
        return f"500: {answer.text}"
    if answer.status_code > 500 and "retry-after" not in answer.headers:
        return f"{answer.status_code} without Retry-After"
    return None
