"""What lists hand to the processes that run them."""

from fastapi import APIRouter

from doable.accounts.events import RegistrationAsked, UserDeleted, UserRegistered, UserRenamed
from doable.core.features import Feature
from doable.lists import events, jobs, routes
from doable.lists.operations import creation, invitations, people
from doable.lists.routes import invitations as invitation_routes
from doable.lists.routes import members as member_routes

router = APIRouter()
router.include_router(routes.router)
router.include_router(member_routes.router)
router.include_router(invitation_routes.router)

feature = Feature(
    name="lists",
    router=router,
    reactions={
        RegistrationAsked: invitations.admit,
        UserRegistered: creation.create_inbox,
        UserRenamed: people.rename,
        UserDeleted: people.forget,
    },
    events=events.EVENTS,
    personal_events=events.PERSONAL,
    jobs=jobs.JOBS,
)
