"""What Schemathesis loads beside its own checks: whatever somebody may do with what is his, a stranger may not."""

import os
from typing import Any

import requests
import schemathesis

STRANGER = "DOABLE_STRANGER"
"""The variable with the access token of a person who shares nothing with the one who sends the requests."""
_REFUSALS = (403, 404, 409)
_TIMEOUT = 10


@schemathesis.check
def a_stranger_is_refused(
    _ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """Each request that names something by its id and succeeded is repeated by the stranger.

    403 is for what only administrators do; 409 for a new todo with the id of another.
    """
    if not case.path_parameters or not 200 <= response.status_code < 300:
        return
    sent = response.request
    headers = {**sent.headers, "Authorization": f"Bearer {os.environ[STRANGER]}"}
    again = requests.request(sent.method or "", sent.url or "", headers=headers, data=sent.body, timeout=_TIMEOUT)
    message = f"{sent.method} {case.path}: a stranger was answered {again.status_code}"
    assert again.status_code in _REFUSALS, message
