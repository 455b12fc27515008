"""What the routes of accounts ask for besides the database."""

from typing import Annotated

from fastapi import Depends, Request

from doable.accounts.operations.sessions import Device, Signers
from doable.core.http.context import info
from doable.core.limits import Limiter as RequestLimiter
from doable.core.mail import Mailer as MailService
from doable.core.passwords import Hasher as PasswordHasher
from doable.settings import Settings

MAX_USER_AGENT = 200


async def _settings(request: Request) -> Settings:
    settings: Settings = request.state.settings
    return settings


async def _hasher(request: Request) -> PasswordHasher:
    hasher: PasswordHasher = request.state.hasher
    return hasher


async def _mailer(request: Request) -> MailService:
    mailer: MailService = request.state.mailer
    return mailer


async def _limiter(request: Request) -> RequestLimiter:
    limiter: RequestLimiter = request.state.limiter
    return limiter


async def _signers(request: Request) -> Signers:
    return Signers(request.state.access_tokens, request.state.refresh_tokens)


async def _device(request: Request) -> Device:
    written = request.headers.get("user-agent", "")
    user_agent = "".join(filter(str.isprintable, written)).strip()[:MAX_USER_AGENT]
    return Device(user_agent or None, info(request.scope).client or None)


Configuration = Annotated[Settings, Depends(_settings)]
Hasher = Annotated[PasswordHasher, Depends(_hasher)]
Mailer = Annotated[MailService, Depends(_mailer)]
Limiter = Annotated[RequestLimiter, Depends(_limiter)]
Keys = Annotated[Signers, Depends(_signers)]
CurrentDevice = Annotated[Device, Depends(_device)]
