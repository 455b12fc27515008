"""The client: who calls, and what can be called."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Literal, Self

import httpx2
import orjson

from doable.client import sending
from doable.client.errors import Refused
from doable.client.following import Following
from doable.client.sending import TIMEOUT
from doable.client.wire import Change, Event, Member, Position, Snapshot, Todo, TodoList

PREFIX = "/api/v1"
PAGE = "200"
EVENTS = "1000"

type Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Client:
    """`token` is an API token; without one, `log_in`. For `patience` seconds a request is sent again.

    `trust_env`: whether proxies are taken from the environment.
    """

    def __init__(self, url: str, *, token: str | None = None, patience: float = 30.0, trust_env: bool = True) -> None:
        self.url = url.rstrip("/")
        self.trust_env = trust_env
        self._http = httpx2.AsyncClient(base_url=self.url + PREFIX, timeout=TIMEOUT, trust_env=trust_env)
        self._patience = patience
        self._access = token
        self._refresh: str | None = None
        self._renewing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def log_in(self, login: str, password: str) -> None:
        answer = await self._send("POST", "/auth/login", {"login": login, "password": password})
        self._keep(answer)

    async def log_out(self) -> None:
        """End the session, here and on the server."""
        refresh, self._access, self._refresh = self._refresh, None, None
        if refresh is not None:
            await self._send("POST", "/auth/logout", {"refresh_token": refresh})

    async def call(
        self,
        method: Method,
        path: str,
        json: object = None,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """Any operation of the API: `call("PATCH", f"/todos/{todo_id}", {"title": "Oat milk"})`.

        Raises `Refused`, `Unreachable`.
        """
        request = sending.prepare(method, path, json, params, headers)
        access = self._access
        answer = await sending.send(self._http, request, access, self._patience)
        if answer.status_code == httpx2.codes.UNAUTHORIZED and await self.renew(access):
            answer = await sending.send(self._http, request, self._access, self._patience)
        return _good(answer)

    async def create_todo(self, title: str, **members: object) -> Todo:
        """In the inbox unless `list_id` is among the members."""
        answer = await self.call("POST", "/todos", {"title": title, **members})
        made: Todo = orjson.loads(answer.content)
        return made

    async def create_list(self, name: str, **members: object) -> TodoList:
        answer = await self.call("POST", "/lists", {"name": name, **members})
        made: TodoList = orjson.loads(answer.content)
        return made

    async def all(self, path: str, **params: str) -> AsyncIterator[Any]:
        """What a listing has, page after page: `all("/lists")`."""
        async for page in self._pages(path, params):
            for item in orjson.loads(page.content)["items"]:
                yield item

    async def snapshot(self, list_id: str) -> Snapshot:
        """A whole list, with a position that is not newer than anything in it."""
        position: Position | None = None
        todos: list[Todo] = []
        async for page in self._pages("/todos", {"list_id": list_id}):
            position = position or Position.parse(page.headers["ETag"])
            todos += orjson.loads(page.content)["items"]
        home: TodoList = orjson.loads((await self.call("GET", f"/lists/{list_id}")).content)
        members: list[Member] = [member async for member in self.all(f"/lists/{list_id}/members")]
        return Snapshot(position or Position("", 0), home, members, todos)

    async def log(self, list_id: str, after: Position) -> list[Change]:
        """The next thousand things that have happened after a position. Raises `Refused` with `POSITION_LOST`."""
        params = {"after": str(after), "limit": EVENTS}
        page = orjson.loads((await self.call("GET", f"/lists/{list_id}/events", params=params)).content)
        events: list[Event] = page["events"]
        return [Change(Position(after.epoch, event["revision"]), event) for event in events]

    def follow(self, list_id: str, since: Position | None = None) -> Following:
        """Everything that happens in a list, each once and in order, until it is left.

        Without `since`, and whenever the server does not know any more what came after it, a `Snapshot` comes first.
        """
        return Following(self, list_id, since)

    def credential(self) -> str | None:
        """What is shown now."""
        return self._access

    async def renew(self, stale: str | None) -> bool:
        """Whether there is something newer to show than what was refused."""
        async with self._renewing:
            if self._access == stale:
                if self._refresh is None:
                    return False
                try:
                    self._keep(await self._send("POST", "/auth/refresh", {"refresh_token": self._refresh}))
                except Refused as no:
                    if no.status == httpx2.codes.UNAUTHORIZED:
                        self._refresh = None
                        return False
                    raise
            return self._access is not None

    async def _send(self, method: Method, path: str, json: object) -> httpx2.Response:
        """Without a credential."""
        request = sending.prepare(method, path, json, None, None)
        return _good(await sending.send(self._http, request, None, self._patience))

    async def _pages(self, path: str, params: Mapping[str, str]) -> AsyncIterator[httpx2.Response]:
        asked = {**params, "size": PAGE}
        while True:
            page = await self.call("GET", path, params=asked)
            yield page
            cursor = orjson.loads(page.content)["next_cursor"]
            if cursor is None:
                return
            asked["cursor"] = cursor

    def _keep(self, answer: httpx2.Response) -> None:
        pair = orjson.loads(answer.content)
        self._access, self._refresh = pair["access_token"], pair["refresh_token"]


def _good(answer: httpx2.Response) -> httpx2.Response:
    if answer.is_success:
        return answer
    raise sending.refusal(answer)
