"""What the routes of accounts ask for besides the database."""

from typing import Annotated

from fastapi import Depends, Request

from doable.accounts.operations import mailed
from doable.accounts.operations.sessions import Device, Signers
from doable.core.http import limiting
from doable.core.http.context import info
from doable.core.passwords import Hasher as PasswordHasher
from doable.settings import Settings

MAX_USER_AGENT = 200


async def _settings(request: Request) -> Settings:
    settings: Settings = request.state.settings
    return settings


async def _hasher(request: Request) -> PasswordHasher:
    hasher: PasswordHasher = request.state.hasher
    return hasher


async def _post(request: Request) -> mailed.Post:
    return mailed.Post(request.state.limiter, request.state.settings)


async def _signers(request: Request) -> Signers:
    return Signers(request.state.access_tokens, request.state.refresh_tokens)


async def _device(request: Request) -> Device:
    written = request.headers.get("user-agent", "")
    user_agent = "".join(filter(str.isprintable, written)).strip()[:MAX_USER_AGENT]
    return Device(user_agent or None, info(request.scope).client or None, limiting.network(request))


async def _network(request: Request) -> str:
    return limiting.network(request)


Configuration = Annotated[Settings, Depends(_settings)]
Hasher = Annotated[PasswordHasher, Depends(_hasher)]
Post = Annotated[mailed.Post, Depends(_post)]
Keys = Annotated[Signers, Depends(_signers)]
CurrentDevice = Annotated[Device, Depends(_device)]
Network = Annotated[str, Depends(_network)]
"""That of the client, which shares budgets."""
