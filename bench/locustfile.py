"""The load of a working day: people who read their todos much more often than they write.

    doable serve &
    locust --headless --host http://127.0.0.1:8000 --users 20 --run-time 30s --locustfile bench/locustfile.py

The server needs a high `RATE_LIMIT_PER_MINUTE`, because all people come from one address. Of all requests 65 % read one
todo, 23 % the todos of a list and 9 % the lists; 3 % write.
"""

import random
import time
import uuid
from typing import Any

from locust import FastHttpUser, between, task

API = "/api/v1"
PASSWORD = "twenty people and their lists 7"  # noqa: S105 — of people who do not exist
TODOS = 30


class Somebody(FastHttpUser):
    wait_time = between(0.01, 0.1)

    def on_start(self) -> None:
        name = f"load{uuid.uuid4().hex[:12]}"
        form = {"email": f"{name}@example.com", "username": name, "password": PASSWORD, "confirm_password": PASSWORD}
        self._patiently("/users", form)
        login = self._patiently("/auth/login", {"login": name, "password": PASSWORD})
        self._headers = {"Authorization": f"Bearer {login['access_token']}"}
        self._list_id = self._send("POST", "/lists", "make a list", {"name": "Load"})["id"]
        self._todos = [self._made() for _ in range(TODOS)]

    _headers: dict[str, str] = {}  # noqa: RUF012 — replaced at the login, never changed

    @task(65)
    def one_todo(self) -> None:
        self._send("GET", f"/todos/{random.choice(self._todos)}", "GET one todo")

    @task(23)
    def todos_of_a_list(self) -> None:
        self._send("GET", f"/todos?list_id={self._list_id}&size=20", "GET todos of a list")

    @task(9)
    def lists(self) -> None:
        self._send("GET", "/lists", "GET lists")

    @task(1)
    def make(self) -> None:
        self._todos.append(self._made())

    @task(1)
    def change(self) -> None:
        self._send("PATCH", f"/todos/{random.choice(self._todos)}", "change a todo", {"priority": random.randint(1, 5)})

    @task(1)
    def complete(self) -> None:
        self._send("PUT", f"/todos/{random.choice(self._todos)}/completion", "complete a todo", {})

    def _made(self) -> str:
        made = self._send("POST", "/todos", "make a todo", {"title": "Buy milk", "list_id": self._list_id})
        return str(made["id"])

    def _patiently(self, path: str, body: object) -> dict[str, Any]:
        """Passwords are hashed one after the other: whoever comes while many wait is asked to come again (503)."""
        while True:
            with self.rest("POST", f"{API}{path}", name="come in", json=body) as answer:
                if answer.status_code != 503:  # noqa: PLR2004 — it is that of the contract
                    found: dict[str, Any] = answer.js or {}
                    return found
                answer.success()  # type: ignore[no-untyped-call]
            time.sleep(
                float(str(answer.headers.get("Retry-After", "1")))
            )  # lets the others go on: locust has patched it

    def _send(self, method: str, path: str, name: str, body: object = None) -> dict[str, Any]:
        """An answer that is not a success, or has no JSON, is a failure of the run."""
        with self.rest(method, f"{API}{path}", name=name, json=body, headers=self._headers) as answer:
            found: dict[str, Any] = answer.js or {}
            return found
