"""What rooms hand to the processes that run them."""

from doable.core.features import Feature
from doable.realtime.routes import router, sockets

feature = Feature(name="realtime", router=router, root=sockets.router)
