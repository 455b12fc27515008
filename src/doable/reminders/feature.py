"""What reminders hand to the processes that run them."""

from doable.accounts.events import TimezoneChanged, UserDeleted
from doable.core.features import Feature
from doable.core.following import Happened
from doable.lists.events import MemberLeft
from doable.reminders import mailing, operations
from doable.reminders.routes import router
from doable.todos.reminding import Channel, Reminded

feature = Feature(
    name="reminders",
    router=router,
    reactions={
        Happened: operations.move,
        MemberLeft: operations.leave,
        Reminded: Channel("email", mailing.remind),
        TimezoneChanged: operations.move_home,
        UserDeleted: operations.forget,
    },
    jobs=(operations.fire, operations.settle_in, operations.change_zone, mailing.send),
)
