"""What batches hand to the processes that run them."""

from doable.batch.routes import router
from doable.core.features import Feature

feature = Feature(name="batch", router=router)
