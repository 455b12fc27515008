"""Whatever somebody has, comes in elsewhere as it was: into another account, and into a database of the other kind."""

import json
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from doable.app import create_app
from tests.support import asgi, configuration, databases
from tests.support.people import Person, register
from tests.support.transfers import exported, imported, portable

names = count()
titles = st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), min_size=1, max_size=30)
dues = st.fixed_dictionaries(
    {"date": st.dates().filter(lambda day: 1970 <= day.year < 9000).map(str)},
    optional={"time": st.times().map(lambda time: time.isoformat("minutes"))},
) | st.just({"date": "2026-10-25", "time": "02:30", "timezone": "Europe/Zagreb"})
rules = st.sampled_from(["FREQ=DAILY", "FREQ=WEEKLY;COUNT=3", "FREQ=MONTHLY;BYMONTHDAY=-1"])
todos = st.fixed_dictionaries(
    {
        "title": titles,
        "description": st.none() | titles,
        "priority": st.integers(1, 5),
        "labels": st.sampled_from([[], ["b", "A"]]),
    },
    optional={"due": dues, "recurrence": st.builds(lambda rule: {"rule": rule}, rules)},
)
acts = st.sampled_from(["complete", "delete", "first", "nothing"])
lives = st.lists(st.tuples(todos, st.integers(0, 9), st.integers(-3, 5), acts), max_size=12)


@pytest.fixture
async def elsewhere(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> AsyncIterator[asgi.Running]:
    """The app on a database of the other kind."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    if not database_url.startswith("sqlite"):
        url = databases.copy_sqlite(request.getfixturevalue("sqlite_template"), folder)
        async with asgi.Running(create_app(configuration.make_settings(url, folder / "data"))) as other:
            yield other
        return
    with request.getfixturevalue("migrated").lent() as url:
        async with asgi.Running(create_app(configuration.make_settings(url, folder / "data"))) as other:
            yield other


async def person(running: asgi.Running) -> Person:
    client = httpx2.AsyncClient(transport=asgi.Transport(running), base_url="http://testserver")
    return await register(client, f"somebody{next(names)}")


async def live(somebody: Person, life: list[tuple[dict[str, Any], int, int, str]]) -> None:
    """What the server refuses does not happen."""
    homes = [somebody.inbox_id, (await somebody.list("Home"))["id"]]
    made: list[str] = []
    for body, home, above, act in life:
        parent = {"parent_id": made[above]} if 0 <= above < len(made) else {"list_id": homes[home % 2]}
        answer = await somebody.post("/todos", {**body, **parent})
        if answer.status_code != 201:
            continue
        todo_id = answer.json()["id"]
        made.append(todo_id)
        if act == "complete":
            due = body.get("due")
            await somebody.put(f"/todos/{todo_id}/completion", {"occurrence": due["date"]} if due else {})
        elif act == "delete":
            await somebody.delete(f"/todos/{todo_id}")
        elif act == "first":
            await somebody.put(f"/todos/{todo_id}/position", {"before": made[0]})
    await somebody.patch(f"/lists/{homes[1]}", {"archived": len(life) % 2 == 0})


def tree(file: dict[str, Any], inbox_id: str) -> list[dict[str, Any]]:
    """The todos with numbers in the place of ids."""
    known = [inbox_id, *(one["id"] for one in file["lists"] if not one["is_inbox"])]
    known += [one["id"] for one in sorted(file["todos"], key=lambda one: one["list_id"] != inbox_id)]
    text = json.dumps(portable(file, "nothing of this name"))
    for number, one in enumerate(known):
        text = text.replace(one, f"number {number}")
    shown: list[dict[str, Any]] = json.loads(text)["todos"]
    return sorted(shown, key=lambda one: str(one["id"]))


@settings(
    max_examples=6,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@given(life=lives)
async def test_what_leaves_comes_in_as_it_was(
    running: asgi.Running, elsewhere: asgi.Running, life: list[tuple[dict[str, Any], int, int, str]]
) -> None:
    ana, bob, carl = await person(running), await person(running), await person(elsewhere)
    await live(ana, life)
    file = await exported(ana)
    for place, somebody in ((elsewhere, carl), (running, bob)):
        done = await imported(place, somebody, file)
        assert (done["status"], done["errors"]) == ("done", [])
    came = await exported(carl)
    assert portable(came, carl.inbox_id) == portable(file, ana.inbox_id)
    assert [one["id"] for one in came["todos"] if one["list_id"] != carl.inbox_id] == [
        one["id"] for one in file["todos"] if one["list_id"] != ana.inbox_id
    ], "siblings have another order"
    assert tree(await exported(bob), bob.inbox_id) == tree(file, ana.inbox_id)
