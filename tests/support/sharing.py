"""How people get into each other's lists."""

from typing import Any

from tests.support.people import Person

type Json = dict[str, Any]


async def invite(owner: Person, email: str, list_id: str, role: str = "editor") -> Json:
    """A new invitation; its link's secret is its `token`."""
    answer = await owner.post(f"/lists/{list_id}/invitations", {"email": email, "role": role})
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return {**made, "token": made["url"].partition("#token=")[2]}


async def join(owner: Person, person: Person, list_id: str, role: str = "editor") -> Json:
    """The list, as the person who has joined it sees it."""
    invitation = await invite(owner, person.user["email"], list_id, role)
    answer = await person.post("/invitations/acceptance", {"token": invitation["token"]})
    assert answer.status_code == 200, answer.text
    joined: Json = answer.json()
    return joined


async def members(person: Person, list_id: str) -> dict[str, str]:
    """Who is in a list as what."""
    answer = await person.get(f"/lists/{list_id}/members")
    assert answer.status_code == 200, answer.text
    return {member["user"]["username"]: member["role"] for member in answer.json()["items"]}
