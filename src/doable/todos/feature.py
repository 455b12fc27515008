"""What todos hand to the processes that run them."""

from fastapi import APIRouter

from doable.core.features import Feature
from doable.lists.events import ListGoes, MemberLeft
from doable.todos import events, jobs, routes
from doable.todos.operations import assignment, trash
from doable.todos.routes import events as event_routes
from doable.todos.routes import labels, trashed

router = APIRouter()
router.include_router(routes.router)
router.include_router(event_routes.router)
router.include_router(labels.router)
router.include_router(trashed.router)

feature = Feature(
    name="todos",
    router=router,
    reactions={MemberLeft: assignment.release, ListGoes: trash.go_with_list},
    events=events.EVENTS,
    jobs=jobs.JOBS,
)
