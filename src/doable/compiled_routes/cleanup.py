"""What dependencies with `yield` have opened for a request, and how it is closed: as FastAPI's exit stacks do."""

from contextlib import AbstractAsyncContextManager
from typing import Any

from anyio import CancelScope
from anyio.lowlevel import checkpoint_if_cancelled
from fastapi.exceptions import FastAPIError
from starlette.types import Scope

type Opened = AbstractAsyncContextManager[Any]

KEY = "compiled_routes.opening"
"""In the scope of a request, because what is around a handler may make a `Request` of its own from it."""


class Opening:
    """Closes `before_answer` once the answer is made, and `after_answer` once it is sent.

    `guard` is a cancel scope around all of it, which keeps AnyIO from cancelling what closes.
    """

    __slots__ = ("_guard", "after_answer", "before_answer")

    def __init__(self, guard: CancelScope | None) -> None:
        self._guard = guard
        self.before_answer: list[Opened] = []
        self.after_answer: list[Opened] = []

    async def close(self, opened: list[Opened], error: BaseException | None = None) -> None:
        """Leave these, the last first; raises what they have not swallowed, or what they raise instead."""
        while opened:
            manager = opened.pop()
            try:
                if await self._leave(manager, error):
                    error = None
            except BaseException as raised:  # noqa: BLE001 — what the last one makes of it is raised below
                error = raised
        if error is not None:
            raise error

    async def fail(self, opened: list[Opened], error: BaseException) -> None:
        """Leave these and raise in any case: with the error swallowed there is no answer to send."""
        await self.close(opened, error)
        raise FastAPIError("No answer: a dependency with yield has swallowed an exception.") from error

    async def _leave(self, manager: Opened, error: BaseException | None) -> bool:
        """Whether it has swallowed the error."""
        details = (None, None, None) if error is None else (type(error), error, error.__traceback__)
        if self._guard is None:
            return bool(await manager.__aexit__(*details))
        before = self._guard.shield
        self._guard.shield = True
        try:
            swallowed = bool(await manager.__aexit__(*details))
        finally:
            self._guard.shield = before
        if error is None or swallowed:
            await checkpoint_if_cancelled()
        return swallowed


def opening(scope: Scope) -> Opening:
    """What is open for the request of this scope."""
    found: Opening = scope[KEY]
    return found
