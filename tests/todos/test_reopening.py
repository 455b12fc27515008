"""What recurs is opened again: what counts as done then, and what does not."""

import pytest

from tests.support.people import Person
from tests.support.sharing import join
from tests.todos.test_recurring import completed, occurrences, recurring


@pytest.mark.parametrize("rule", ["FREQ=DAILY;COUNT=2", "FREQ=DAILY;UNTIL=20901128"])
async def test_to_reopen_what_was_completed_with_the_todo_above_takes_no_occurrence_back(
    ana: Person, rule: str
) -> None:
    above = await ana.todo("above")
    todo = await recurring(ana, rule, parent_id=above["id"])
    once = await completed(ana, todo, "2090-11-27T10:00:00Z")
    done = await occurrences(ana, todo)
    assert (once["completed"], len(done)) == (False, 1)
    await ana.put(f"/todos/{above['id']}/completion", {"completed_at": "2090-11-28T10:00:00Z"})
    reopened = (await ana.delete(f"/todos/{todo['id']}/completion")).json()
    assert [reopened[name] for name in ("completed", "due", "recurrence")] == [False, once["due"], once["recurrence"]]
    assert await occurrences(ana, todo) == done


async def test_whoever_reopens_takes_the_last_occurrence_back_wherever_he_lives(ana: Person, bob: Person) -> None:
    await ana.patch("/users/me", {"timezone": "Pacific/Kiritimati"})
    await bob.patch("/users/me", {"timezone": "Pacific/Pago_Pago"})
    home = (await ana.list())["id"]
    await join(ana, bob, home)
    todo = await recurring(ana, "FREQ=DAILY;UNTIL=20901128", list_id=home)
    assert (await completed(ana, todo, "2090-11-28T05:00:00Z"))["completed"] is True
    reopened = (await bob.delete(f"/todos/{todo['id']}/completion")).json()
    assert (reopened["completed"], reopened["recurrence"]["done"]) == (False, 0)
    assert await occurrences(ana, todo) == []


async def test_when_a_todo_is_due_again_what_recurs_below_it_goes_by_its_own_rule(ana: Person) -> None:
    above = await recurring(ana)
    plain = await ana.todo("plain", parent_id=above["id"])
    over = await recurring(ana, "FREQ=DAILY;COUNT=1", parent_id=above["id"])
    await ana.put(f"/todos/{plain['id']}/completion")
    last = await completed(ana, over)
    assert last["completed"] is True
    assert (await completed(ana, above))["completed"] is False
    assert (await ana.get(f"/todos/{plain['id']}")).json()["completed"] is False
    assert (await ana.get(f"/todos/{over['id']}")).json() == last
