"""What rooms hand to the processes that run them."""

from doable.core.features import Feature
from doable.realtime import reminding
from doable.realtime.routes import router, sockets
from doable.todos.reminding import Channel, Reminded

feature = Feature(
    name="realtime",
    router=router,
    root=sockets.router,
    reactions={Reminded: Channel("room", reminding.remind)},
    jobs=(reminding.say,),
)
