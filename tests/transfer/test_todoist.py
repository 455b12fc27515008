"""Templates of Todoist come in as a list."""

import httpx2
import pytest

from doable.core.jobs.worker import Worker
from tests.support import asgi
from tests.support.people import Person

TEMPLATE = """\ufeffTYPE,CONTENT,DESCRIPTION,PRIORITY,INDENT,AUTHOR,RESPONSIBLE,DATE,DATE_LANG,TIMEZONE
task,Buy milk @home @shop,"two
litres",1,1,,,2026-11-22,en,
task,"Whole, not skimmed",,4,2,,,every day,en,
note,a comment,,,,,,,,
,,,,,,,,,
section,Later,,,,,,,,
task,Sleep,,4,1,,,2026-11-23 23:30,en,Europe/Zagreb
"""


async def send(running: asgi.Running, person: Person, text: str) -> httpx2.Response:
    answer = await person.request("POST", "/import", content=text.encode(), headers={"Content-Type": "text/csv"})
    worker: Worker = running.state["worker"]
    await worker.drain()
    return answer


async def test_a_template_becomes_a_list_once(running: asgi.Running, ana: Person) -> None:
    for created in (5, 0):
        answer = await send(running, ana, TEMPLATE)
        assert answer.status_code == 202, answer.text
        done = (await ana.get(f"/imports/{answer.json()['id']}")).json()
        assert (done["status"], done["created"]) == ("done", created)
        assert [fault["message"] for fault in done["errors"]] == ["Comments are not imported."]
    file = (await ana.get("/export")).json()
    assert [one["name"] for one in file["lists"]] == ["Inbox", "Todoist"]
    todos = {one["title"]: one for one in file["todos"]}
    assert todos.keys() == {"Buy milk", "Whole, not skimmed", "Later", "Sleep"}
    milk, whole, later, sleep = (todos[title] for title in ("Buy milk", "Whole, not skimmed", "Later", "Sleep"))
    assert (milk["description"], milk["priority"], milk["labels"]) == ("two\nlitres", 1, ["home", "shop"])
    assert milk["due"]["date"] == "2026-11-22"
    assert (whole["parent_id"], whole["description"]) == (milk["id"], "Date: every day")
    assert (later["parent_id"], sleep["parent_id"]) == (None, later["id"])
    assert sleep["due"]["at"] == "2026-11-23T22:30:00.000Z"


async def test_another_table_is_refused(running: asgi.Running, ana: Person) -> None:
    for text, status in (("a,b\n1,2\n", 422), ("", 422), ('TYPE,CONTENT\n"task', 400)):
        assert (await send(running, ana, text)).status_code == status
    answer = await ana.request("POST", "/import", content=b"TYPE,CONTENT\n\xff\n", headers={"Content-Type": "text/csv"})
    assert answer.status_code == 400


@pytest.mark.parametrize("indent", ["", "0", "00", "-1", "٢", "x", "99", "9" * 5_000])
async def test_an_indent_that_means_nothing_is_none(running: asgi.Running, ana: Person, indent: str) -> None:
    answer = await send(running, ana, f"TYPE,CONTENT,INDENT\ntask,above,1\ntask,below,{indent}\n")
    assert answer.status_code == 202, answer.text
    above, below = sorted((await ana.get("/todos")).json()["items"], key=lambda todo: todo["title"])
    assert below["parent_id"] == (above["id"] if indent == "99" else None)
