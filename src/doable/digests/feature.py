"""What digests hand to the processes that run them."""

from doable.accounts.events import TimezoneChanged, UserDeleted
from doable.core.features import Feature
from doable.digests import jobs, operations
from doable.digests.routes import router

feature = Feature(
    name="digests",
    router=router,
    reactions={TimezoneChanged: operations.move, UserDeleted: operations.forget},
    jobs=jobs.JOBS,
)
