"""`doable routes` and `doable openapi`: what the server offers, without starting it."""

from collections.abc import Iterator
from typing import NamedTuple

import click
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from doable import app
from doable.cli import environment, examples, tables
from doable.compiled_routes import verdicts
from doable.core.http import openapi as documents

UNDOCUMENTED = "-"
SWITCHED_OFF = "no: COMPILED_ROUTES=false"


class _Row(NamedTuple):
    method: str
    path: str
    operation: str
    protection: str
    compiled: str


@click.command(epilog=examples.epilog("doable routes | grep /lists"))
def routes() -> None:
    """List what the server answers to.

    For each operation its name in the OpenAPI document and whether it needs a bearer token. A dash stands for what is
    not in the document: its pages, and /metrics, which has a token of its own. The last column says whether a
    compiled handler serves it, and if not, why FastAPI does.
    """
    settings = environment.read_settings()
    api = app.create_api(settings)
    compiled = _compiled(api) if settings.compiled_routes else {}
    rows = [*_documented(api, compiled), *_undocumented(api, compiled)]
    rows.sort(key=lambda row: (row.path, row.method))
    click.echo(tables.render(("METHOD", "PATH", "OPERATION", "PROTECTION", "COMPILED"), rows))


@click.command(epilog=examples.epilog("doable openapi > openapi.json"))
def openapi() -> None:
    """Print the OpenAPI document.

    The same document that the server offers at /openapi.json, as indented JSON.
    """
    api = app.create_api(environment.read_settings())
    click.echo(documents.render(api.openapi()), nl=False)


def _documented(api: FastAPI, compiled: dict[tuple[str, str], str]) -> Iterator[_Row]:
    for path, item in api.openapi()["paths"].items():
        for verb, operation in item.items():
            method = verb.upper()
            protection = "bearer" if operation.get("security") else "public"
            yield _Row(method, path, operation["operationId"], protection, compiled.get((method, path), SWITCHED_OFF))


def _undocumented(api: FastAPI, compiled: dict[tuple[str, str], str]) -> Iterator[_Row]:
    for route in iter_route_contexts(api.routes):
        if not getattr(route, "include_in_schema", False):
            path = str(route.path_format)
            for method in route.methods or ():
                if method != "HEAD":
                    yield _Row(method, path, UNDOCUMENTED, UNDOCUMENTED, compiled.get((method, path), SWITCHED_OFF))


def _compiled(api: FastAPI) -> dict[tuple[str, str], str]:
    return {
        (method, verdict.path): "yes" if verdict.reason is None else f"no: {verdict.reason}"
        for verdict in verdicts(api, app.WRAPS)
        for method in verdict.methods
    }
