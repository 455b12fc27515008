"""What todos hand to the processes that run them."""

from doable.core.features import Feature
from doable.todos import events
from doable.todos.routes import router

feature = Feature(name="todos", router=router, events=events.EVENTS)
