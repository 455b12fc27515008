"""Rooms and streams over HTTP."""

from fastapi import APIRouter

from doable.realtime.routes import sockets, streams

router = APIRouter()
for part in (sockets, streams):
    router.include_router(part.router)
