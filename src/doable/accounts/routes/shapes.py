"""Rows of accounts as the wire has them."""

from uuid import UUID

from doable.accounts.schemas import ApiTokenCreated, ApiTokenResponse, SessionResponse, UserResponse
from doable.accounts.statements.sessions import SessionRow
from doable.accounts.statements.tokens import ApiTokenRow
from doable.accounts.statements.users import UserRow


def user(row: UserRow) -> UserResponse:
    return UserResponse(
        id=row.id,
        email=row.email,
        username=row.username,
        email_verified=row.email_verified_at is not None,
        timezone=row.timezone,
        is_admin=row.is_admin,
        inbox_id=row.inbox_id,
        disabled_at=row.disabled_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def session(row: SessionRow, current: UUID | None) -> SessionResponse:
    return SessionResponse(
        id=row.id,
        current=row.id == current,
        user_agent=row.user_agent,
        ip=row.ip,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
    )


def api_token(row: ApiTokenRow) -> ApiTokenResponse:
    return ApiTokenResponse(
        id=row.id,
        name=row.name,
        scopes=row.scopes.split(),
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        created_at=row.created_at,
    )


def new_api_token(row: ApiTokenRow, secret: str) -> ApiTokenCreated:
    return ApiTokenCreated(**dict(api_token(row)), token=secret)
