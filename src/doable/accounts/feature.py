"""What accounts hand to the processes that run them."""

from doable.accounts import events, jobs
from doable.accounts.routes import router
from doable.core.features import Feature

feature = Feature(name="accounts", router=router, personal_events=events.PERSONAL, jobs=jobs.JOBS)
