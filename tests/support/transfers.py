"""Files that leave and come in, and a life to put into them."""

import json
from typing import Any

import httpx2

from doable.core.jobs.worker import Worker
from tests.support import asgi
from tests.support.people import Person

EMPTY = {"format": "doable", "version": 1, "lists": [], "todos": [], "occurrences": []}
DAILY = {"due": {"date": "2090-11-27"}, "recurrence": {"rule": "FREQ=DAILY;COUNT=9"}}


async def exported(person: Person) -> dict[str, Any]:
    answer = await person.get("/export")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    file: dict[str, Any] = answer.json()
    return file


async def send(person: Person, file: object, **headers: str) -> httpx2.Response:
    content = file if isinstance(file, str) else json.dumps(file)
    return await person.request(
        "POST", "/import", content=content, headers={"Content-Type": "application/json", **headers}
    )


async def imported(running: asgi.Running, person: Person, file: object, **headers: str) -> dict[str, Any]:
    answer = await send(person, file, **headers)
    assert answer.status_code == 202, answer.text
    worker: Worker = running.state["worker"]
    await worker.drain()
    shown = await person.get(f"/imports/{answer.json()['id']}")
    made: dict[str, Any] = shown.json()
    return made


async def life(person: Person) -> dict[str, Any]:
    """A list with a bit of everything."""
    home = await person.list("Home", color="#123456")
    top = await person.todo("=top", list_id=home["id"], description="two\nlines", priority=1, labels=["a", "b"])
    below = [await person.todo(f"below {number}", parent_id=top["id"]) for number in range(3)]
    await person.todo("deeper", parent_id=below[1]["id"])
    daily = await person.todo("daily", list_id=home["id"], **DAILY)
    for day in ("2090-11-27", "2090-11-28", "2090-11-29"):
        await person.put(f"/todos/{daily['id']}/completion", {"occurrence": day})
    gone = await person.todo("gone", list_id=home["id"])
    await person.delete(f"/todos/{gone['id']}")
    done = await person.todo("done", due={"date": "2026-11-22", "time": "02:30", "timezone": "Europe/Zagreb"})
    await person.put(f"/todos/{done['id']}/completion")
    await person.put(f"/todos/{top['id']}/position", {"list_id": home["id"]})  # the last one now
    return home


PEOPLE = {"assignee_id", "created_by", "completed_by", "owner_id", "role"}
SET_BY_THE_SERVER = {"updated_at", "version", "position"}


def portable(file: dict[str, Any], inbox: str) -> dict[str, Any]:
    """What is the same wherever the file is."""
    skipped = PEOPLE | SET_BY_THE_SERVER
    found: dict[str, Any] = {}
    for kind in ("todos", "occurrences"):
        found[kind] = [{name: value for name, value in one.items() if name not in skipped} for one in file[kind]]
    found["lists"] = [
        {name: value for name, value in one.items() if name not in skipped | {"created_at"}} for one in file["lists"]
    ]
    text = json.dumps(found).replace(inbox, "inbox")
    again: dict[str, Any] = json.loads(text)
    for ones in again.values():
        ones.sort(key=lambda one: (str(one.get("list_id", "")), str(one.get("todo_id", "")), one.get("number", 0)))
    again["lists"].sort(key=lambda one: str(one["id"]))
    return again
