"""What import and export hand to the processes that run them."""

from doable.accounts.events import UserDeleted
from doable.core.features import Feature
from doable.transfer.jobs import JOBS
from doable.transfer.operations import receiving
from doable.transfer.routes import router

feature = Feature(name="transfer", router=router, reactions={UserDeleted: receiving.forget}, jobs=JOBS)
