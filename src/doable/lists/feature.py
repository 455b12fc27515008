"""What lists hand to the processes that run them."""

from doable.accounts.events import UserDeleted, UserRegistered
from doable.core.features import Feature
from doable.lists import events, jobs, operations
from doable.lists.routes import router

feature = Feature(
    name="lists",
    router=router,
    reactions={UserRegistered: operations.create_inbox, UserDeleted: operations.forget_owner},
    events=events.EVENTS,
    jobs=jobs.JOBS,
)
