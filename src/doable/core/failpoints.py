"""Named points where a test can make the process wait, fail or die; otherwise they cost one look at an empty dict.

A test in the same process calls `set_action`; a test that starts a server sets `DOABLE_FAILPOINTS` to
`name=action;name=action`, an action being `sleep:SECONDS`, `block:SECONDS` (the whole event loop), `raise` or `exit`
(at once, as `kill -9` would).
"""

import asyncio
import os
import time

_actions: dict[str, str] = {}


class FailpointError(Exception):
    """Raised by a failpoint that was told to fail."""


def set_action(name: str, action: str | None) -> None:
    """Switch the point `name` to an action; `None` switches it off."""
    if action is None:
        _actions.pop(name, None)
    else:
        _actions[name] = action


def load(text: str) -> None:
    """Read the form of `DOABLE_FAILPOINTS`."""
    for pair in filter(None, text.split(";")):
        name, _, action = pair.partition("=")
        set_action(name, action)


async def reach(name: str) -> None:
    """Pass the point `name`."""
    if _actions and (action := _actions.get(name)):
        await _act(name, action)


async def _act(name: str, action: str) -> None:
    verb, _, argument = action.partition(":")
    if verb == "sleep":
        await asyncio.sleep(float(argument))
    elif verb == "block":
        _block(float(argument))
    elif verb == "raise":
        raise FailpointError(name)
    elif verb == "exit":
        os._exit(99)
    else:
        message = f"failpoint {name!r} has no action {action!r}"
        raise ValueError(message)


def _block(seconds: float) -> None:
    """The harm is to be done: what no code that is async may do."""
    time.sleep(seconds)
