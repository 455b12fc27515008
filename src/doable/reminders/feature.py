"""What reminders hand to the processes that run them."""

from doable.accounts.events import UserDeleted
from doable.core.features import Feature
from doable.core.following import Happened
from doable.lists.events import MemberLeft
from doable.reminders import operations
from doable.reminders.routes import router

feature = Feature(
    name="reminders",
    router=router,
    reactions={Happened: operations.move, MemberLeft: operations.leave, UserDeleted: operations.forget},
    jobs=(operations.fire, operations.settle_in),
)
