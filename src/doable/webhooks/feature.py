"""What webhooks hand to the processes that run them."""

from doable.accounts.events import UserDeleted
from doable.core.features import Feature
from doable.core.following import Happened
from doable.lists.events import MemberJoined
from doable.todos.reminding import Channel, Reminded
from doable.webhooks import jobs
from doable.webhooks.operations import deliveries, endpoints
from doable.webhooks.routes import router

feature = Feature(
    name="webhooks",
    router=router,
    reactions={
        Happened: deliveries.make,
        Reminded: Channel("webhook", deliveries.remind),
        MemberJoined: endpoints.follow_joined,
        UserDeleted: endpoints.forget,
    },
    jobs=jobs.JOBS,
)
