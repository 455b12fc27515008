"""A Python client: requests that have their effect once however often they are sent, and lists that are followed.

It knows nothing of the server but what the documents say; docs/client.md shows how it is used.
"""

from doable.client.caller import Client
from doable.client.copies import Copy
from doable.client.errors import Refused, RoomClosed, Unreachable
from doable.client.following import Following
from doable.client.wire import Change, Event, Member, Position, Snapshot, Todo, TodoList, UserRef

__all__ = [
    "Change",
    "Client",
    "Copy",
    "Event",
    "Following",
    "Member",
    "Position",
    "Refused",
    "RoomClosed",
    "Snapshot",
    "Todo",
    "TodoList",
    "Unreachable",
    "UserRef",
]
