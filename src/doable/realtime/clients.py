"""Who gets what happens: a socket or a stream, and the rooms that it hears."""

from uuid import UUID

from doable.accounts.access import Actor
from doable.accounts.schemas import UserRef
from doable.realtime.outbox import NO_MEMBER, Closing, Outbox
from doable.realtime.pace import Pace
from doable.realtime.rooms import Room, Subscription

BYTES_PER_SECOND = 64 * 1024
BYTES_AT_ONCE = 256 * 1024
"""Of all that a person says on all connections: what is said waits for each who hears it, and there it is bounded."""


class Client:
    """`everything`: it hears all lists of its person and outlives each. `sociable`: it sees who else is there."""

    def __init__(self, actor: Actor, *, everything: bool = False, sociable: bool = False) -> None:
        self.actor = actor
        self.everything = everything
        self.sociable = sociable
        self.user = UserRef(id=actor.user_id, username=actor.username)
        self.outbox = Outbox()
        self.pace = Pace(BYTES_PER_SECOND, BYTES_AT_ONCE)
        self.subscriptions: dict[UUID, Subscription] = {}
        self.welcomed = False

    @property
    def user_id(self) -> UUID:
        return self.actor.user_id

    def subscribe(self, room: Room) -> Subscription:
        """Hear what becomes of the person in the room at once, and of the rest once the subscription is live."""
        subscription = self.subscriptions.get(room.id)
        if subscription is None:
            subscription = self.subscriptions[room.id] = Subscription(self, room)
            room.subscriptions[subscription] = None
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        self.subscriptions.pop(subscription.room.id, None)
        subscription.room.subscriptions.pop(subscription, None)

    def lose(self, subscription: Subscription) -> None:
        """What the person may not see any more; what was sent before still goes out."""
        if self.everything:
            self.unsubscribe(subscription)
        else:
            self.outbox.close(Closing(NO_MEMBER, "not a member"), at_once=False)
