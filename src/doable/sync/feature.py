"""What synchronisation hands to the processes that run it."""

from doable.core.features import Feature
from doable.sync.routes import router

feature = Feature(name="sync", router=router)
