"""The body of an import, spooled to the database as it comes."""

import hashlib
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import NamedTuple
from uuid import UUID

from doable.accounts.access import Actor
from doable.core.db import Database
from doable.core.errors import AppException
from doable.core.http import openapi
from doable.core.http.idempotency import Keyed
from doable.transfer import jobs, shapes
from doable.transfer.operations import receiving
from doable.transfer.routes.documents import Document
from doable.transfer.routes.todoist import Template
from doable.transfer.schemas import ImportResponse
from doable.transfer.sources import Element, Source

MOST = {"lists": 20, "todos": 200, "occurrences": 1_000}
"""Elements of a part, which comes in with one transaction."""


class Upload(NamedTuple):
    actor: Actor
    import_id: UUID
    source: Source
    body: AsyncIterator[bytes]


class _Spool:
    """Elements on their way to the parts of an import."""

    def __init__(self, db: Database, import_id: UUID) -> None:
        self.parts = 0
        self._db = db
        self._import_id = import_id
        self._waiting: list[Element] = []

    async def add(self, element: Element) -> None:
        if element.kind not in MOST:
            return
        if self._waiting and (self._waiting[0].kind != element.kind or len(self._waiting) == MOST[element.kind]):
            await self.flush()
        self._waiting.append(element)

    async def flush(self) -> None:
        elements, self._waiting = self._waiting, []
        if elements:
            async with self._db.transaction() as tx:
                await receiving.add(tx, self._import_id, self.parts, elements)
            self.parts += 1


def source(media_type: str) -> Source | None:
    if media_type == openapi.JSON:
        return Document()
    return Template() if media_type == "text/csv" else None


async def receive(upload: Upload, db: Database, keyed: Keyed) -> ImportResponse:
    """Several short transactions, none of them open while the client sends; the last one has the file applied."""
    try:
        async with db.transaction() as tx:
            await receiving.open_import(tx, upload.actor, upload.import_id, upload.source.name)
    except AppException:
        await _look_for_answer(upload, keyed)
        raise
    try:
        parts, digest = await _spool(upload, db)
        keyed.received(digest)
        async with keyed.transaction() as tx:
            row = await receiving.finish(tx, upload.import_id, max(parts, 1), digest)
            await jobs.proceed(tx, row.id)
            answer = shapes.shown(row)
            await keyed.keep(tx, answer, HTTPStatus.ACCEPTED)
    except BaseException:  # also a client that has gone, or an answer that was given before
        async with db.transaction() as tx:
            await receiving.give_up(tx, upload.import_id)
        raise
    return answer


async def _look_for_answer(upload: Upload, keyed: Keyed) -> None:
    """Raises `Replayed` for what has been answered before, which shows when all of it is here."""
    if keyed.has_key:
        digest = hashlib.sha256()
        async for piece in upload.body:
            digest.update(piece)
        keyed.received(digest.digest())
        async with keyed.turn():
            pass


async def _spool(upload: Upload, db: Database) -> tuple[int, bytes]:
    """How many parts there are, and the digest of the whole."""
    spool, digest = _Spool(db, upload.import_id), hashlib.sha256()
    async for piece in upload.body:
        digest.update(piece)
        for element in upload.source.feed(piece):
            await spool.add(element)
    for element in upload.source.close():
        await spool.add(element)
    await spool.flush()
    return spool.parts, digest.digest()
