"""What rooms hand to the processes that run them."""

from doable.core.features import Feature
from doable.realtime import reminding
from doable.realtime.routes import router, sockets
from doable.todos.events import Reminded

feature = Feature(
    name="realtime",
    router=router,
    root=sockets.router,
    reactions={Reminded: reminding.remind},
    jobs=(reminding.say,),
)
