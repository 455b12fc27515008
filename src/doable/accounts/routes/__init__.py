"""The operations on accounts over HTTP."""

from fastapi import APIRouter

from doable.accounts.routes import api_tokens, authentication, sessions, users

router = APIRouter()
for part in (users, authentication, sessions, api_tokens):
    router.include_router(part.router)
