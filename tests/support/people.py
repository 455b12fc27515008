"""People who use the API: each with an account, a session and the headers that prove it."""

from dataclasses import dataclass
from typing import Any

import httpx2

PASSWORD = "a long walk by the sea 42"
API = "/api/v1"


@dataclass
class Person:
    """A registered person with a session; the methods send requests in his name."""

    client: httpx2.AsyncClient
    user: dict[str, Any]
    tokens: dict[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens['access_token']}"}

    @property
    def inbox_id(self) -> str:
        return str(self.user["inbox_id"])

    async def log_in(self) -> None:
        """Once more, when the session has expired."""
        login = {"login": self.user["username"], "password": PASSWORD}
        answer = await self.client.post(f"{API}/auth/login", json=login)
        assert answer.status_code == 200, answer.text
        self.tokens = answer.json()

    async def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        headers = {**self.headers, **options.pop("headers", {})}
        return await self.client.request(method, f"{API}{path}", headers=headers, **options)

    async def get(self, path: str, **options: Any) -> httpx2.Response:
        return await self.request("GET", path, **options)

    async def post(self, path: str, json: object = None, **options: Any) -> httpx2.Response:
        return await self.request("POST", path, json=json, **options)

    async def patch(self, path: str, json: object, **options: Any) -> httpx2.Response:
        return await self.request("PATCH", path, json=json, **options)

    async def put(self, path: str, json: object = None, **options: Any) -> httpx2.Response:
        return await self.request("PUT", path, json=json, **options)

    async def delete(self, path: str, **options: Any) -> httpx2.Response:
        return await self.request("DELETE", path, **options)

    async def todo(self, title: str = "Buy milk", **members: object) -> dict[str, Any]:
        """A new todo, in the inbox unless `list_id` says otherwise."""
        answer = await self.post("/todos", {"title": title, **members})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def list(self, name: str = "Groceries", **members: object) -> dict[str, Any]:
        answer = await self.post("/lists", {"name": name, **members})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made


async def register(client: httpx2.AsyncClient, username: str = "ana") -> Person:
    """Register and log in."""
    body = {
        "email": f"{username}@example.com",
        "username": username,
        "password": PASSWORD,
        "confirm_password": PASSWORD,
    }
    answer = await client.post(f"{API}/users", json=body)
    assert answer.status_code == 201, answer.text
    login = await client.post(f"{API}/auth/login", json={"login": username, "password": PASSWORD})
    assert login.status_code == 200, login.text
    return Person(client, answer.json(), login.json())
