"""What todos hand to the processes that run them."""

from fastapi import APIRouter

from doable.core.features import Feature
from doable.todos import events, jobs, routes
from doable.todos.routes import events as event_routes
from doable.todos.routes import trashed

router = APIRouter()
router.include_router(routes.router)
router.include_router(event_routes.router)
router.include_router(trashed.router)

feature = Feature(name="todos", router=router, events=events.EVENTS, jobs=jobs.JOBS)
