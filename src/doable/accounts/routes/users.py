"""Registration, one's own profile, and the users as administrators see them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from doable.accounts import access
from doable.accounts.access import Actor, CurrentAdmin, CurrentSession
from doable.accounts.operations import administration, passwords, profile, registration
from doable.accounts.routes import shapes
from doable.accounts.routes.dependencies import Configuration, Hasher, Network, Post
from doable.accounts.schemas import AccountDelete, PasswordChange, ProfileUpdate, UserCreate, UserResponse, UserUpdate
from doable.accounts.statements import users as statements
from doable.core.db import UniqueViolation
from doable.core.errors import Code
from doable.core.http import idempotency, limiting, openapi
from doable.core.http.idempotency import KeyedTransaction
from doable.core.http.paging import CursorKey, Paging
from doable.core.http.routing import Route
from doable.core.http.transaction import Db, Reads, Tx
from doable.core.pages import Page
from doable.core.types import UuidStr, changes

router = APIRouter(prefix="/users", tags=["accounts"], route_class=Route)

Self = Annotated[Actor, Depends(access.actor("account"))]


@router.post(
    "",
    status_code=201,
    dependencies=[limiting.RegistrationBudget, idempotency.Ignored],
    responses=openapi.errors(Code.EMAIL_TAKEN, Code.USERNAME_TAKEN, Code.FORBIDDEN) | openapi.headers(201, "Location"),
)
async def register(
    body: UserCreate,
    db: Db,
    hasher: Hasher,
    post: Post,
    network: Network,
    settings: Configuration,
    response: Response,
) -> UserResponse:
    """Become a user. A mail asks to confirm the address."""
    row = await registration.register(db, hasher, post, body, network)
    response.headers["Location"] = f"{settings.api_v1_prefix}/users/me"
    return shapes.user(row)


@router.get("", responses=openapi.errors(Code.FORBIDDEN, Code.SESSION_REQUIRED, Code.INVALID_CURSOR))
async def list_users(_: CurrentAdmin, reads: Reads, paging: Paging, cursors: CursorKey) -> Page[UserResponse]:
    """Everybody, for administrators."""
    return await statements.USERS.page(reads, paging, cursors, shapes.user)


@router.get("/me", responses=openapi.errors(Code.INSUFFICIENT_SCOPE))
async def get_me(actor: Self, reads: Reads) -> UserResponse:
    row = await reads.first(statements.USER, user_id=actor.user_id)
    if row is None:
        raise access.unauthenticated()
    return shapes.user(row)


@router.patch(
    "/me",
    responses=openapi.errors(
        Code.EMAIL_TAKEN, Code.USERNAME_TAKEN, Code.FORBIDDEN, Code.INSUFFICIENT_SCOPE, Code.SESSION_REQUIRED
    ),
)
async def update_me(
    actor: Self, body: ProfileUpdate, db: Db, hasher: Hasher, post: Post, keyed: KeyedTransaction
) -> UserResponse:
    """Change what is sent and nothing else. The e-mail address needs a session and the current password."""
    async with keyed.turn():
        wanted = await profile.confirm(db, hasher, post, actor, body)
        try:
            async with keyed.transaction() as tx:
                answer = shapes.user(await profile.update(tx, post, actor, wanted))
                await keyed.keep(tx, answer)
        except UniqueViolation as violation:
            raise await profile.taken(db, actor, wanted, violation) from violation
    return answer


@router.put(
    "/me/password",
    status_code=204,
    dependencies=[idempotency.Ignored],
    responses=openapi.errors(Code.FORBIDDEN, Code.SESSION_REQUIRED, Code.CONFLICT),
)
async def change_password(actor: CurrentSession, body: PasswordChange, db: Db, hasher: Hasher) -> None:
    """Ends the other sessions and outstanding resets; API tokens stay until they are deleted."""
    await passwords.change_password(db, hasher, actor, body)


@router.delete(
    "/me",
    status_code=204,
    dependencies=[idempotency.Ignored],
    responses=openapi.errors(Code.FORBIDDEN, Code.SESSION_REQUIRED, Code.CONFLICT, Code.OWNS_SHARED_LISTS),
)
async def delete_me(actor: CurrentSession, body: AccountDelete, db: Db, hasher: Hasher) -> None:
    """Leave for good: sessions, tokens and lists of one's own go."""
    await profile.delete(db, hasher, actor, body.current_password)


@router.patch(
    "/{user_id}",
    responses=openapi.errors(Code.FORBIDDEN, Code.SESSION_REQUIRED, Code.NOT_FOUND, Code.CONFLICT),
)
async def update_user(actor: CurrentAdmin, user_id: UuidStr, body: UserUpdate, tx: Tx) -> UserResponse:
    """Promote, demote, disable, enable. Disabling ends all sessions at once."""
    sent = changes(body)
    row = await administration.change_standing(
        tx, user_id, actor=actor, is_admin=sent.get("is_admin"), disabled=sent.get("disabled")
    )
    return shapes.user(row)
