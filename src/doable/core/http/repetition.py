"""What the OpenAPI document says of the headers that make a write safe to send again and spare a read."""

from collections.abc import Iterator
from typing import Any

from fastapi.dependencies.models import Dependant

from doable.core.errors import Code
from doable.core.http import conditional, idempotency

type Document = dict[str, Any]

PARAMETERS: dict[str, tuple[str, Document, str]] = {
    idempotency.HEADER: (
        "A name for this request, new for each. Sent again within 24 hours, it gets the same answer and does nothing.",
        {"minLength": 1, "maxLength": idempotency.MOST, "pattern": "^[ -~]+$"},
        "5b0e6c1e-5d3c-4d7e-9a44-0d6f7a3c2b10",
    ),
    "If-Match": ("Only if it has this `ETag`, or one of several; `*` is any.", {}, '"k3v9x2mq.7"'),
    "If-None-Match": ("Answer 304 and no body if it has this `ETag`, or one of several.", {}, '"k3v9x2mq.7"'),
}


def describe(method: str, operation: Document, dependant: Dependant) -> Iterator[Code]:
    """Add to the operation the headers that its route reads; gives the refusals that they can lead to."""
    taken = []
    if idempotency.applies({method.upper()}, dependant):
        taken.append(idempotency.HEADER)
        yield from (Code.IDEMPOTENCY_IN_PROGRESS, Code.IDEMPOTENCY_MISMATCH)
        for status, response in operation["responses"].items():
            if status.startswith("2"):
                response.setdefault("headers", {}).update(_header("Idempotent-Replayed"))
    if idempotency.depends_on(dependant, conditional.if_match):
        taken.append("If-Match")
        yield Code.PRECONDITION_FAILED
    if method == "get" and "ETag" in operation["responses"]["200"].get("headers", ()):
        taken.append("If-None-Match")
        operation["responses"]["304"] = {"description": "It is what the client has.", "headers": _header("ETag")}
    if taken:
        operation.setdefault("parameters", []).extend(map(_parameter, taken))


def _parameter(name: str) -> Document:
    description, schema, example = PARAMETERS[name]
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": {"type": "string", **schema},
        "example": example,
    }


def _header(name: str) -> Document:
    return {name: {"$ref": f"#/components/headers/{name}"}}
