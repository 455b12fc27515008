"""`doable routes` and `doable openapi`: what the server offers, without starting it."""

from collections.abc import Iterator
from typing import NamedTuple

import click
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from doable import app
from doable.cli import environment, examples, tables
from doable.core.http import openapi as documents

UNDOCUMENTED = "-"


class _Row(NamedTuple):
    method: str
    path: str
    operation: str
    protection: str


@click.command(epilog=examples.epilog("doable routes | grep /lists"))
def routes() -> None:
    """List what the server answers to.

    For each operation its name in the OpenAPI document and whether it needs a bearer token. A dash stands for what is
    not in the document: its pages, and /metrics, which has a token of its own.
    """
    api = app.create_api(environment.read_settings())
    rows = [*_documented(api), *_undocumented(api)]
    rows.sort(key=lambda row: (row.path, row.method))
    click.echo(tables.render(("METHOD", "PATH", "OPERATION", "PROTECTION"), rows))


@click.command(epilog=examples.epilog("doable openapi > openapi.json"))
def openapi() -> None:
    """Print the OpenAPI document.

    The same document that the server offers at /openapi.json, as indented JSON.
    """
    api = app.create_api(environment.read_settings())
    click.echo(documents.render(api.openapi()), nl=False)


def _documented(api: FastAPI) -> Iterator[_Row]:
    for path, item in api.openapi()["paths"].items():
        for method, operation in item.items():
            protection = "bearer" if operation.get("security") else "public"
            yield _Row(method.upper(), path, operation["operationId"], protection)


def _undocumented(api: FastAPI) -> Iterator[_Row]:
    for route in iter_route_contexts(api.routes):
        if not getattr(route, "include_in_schema", False):
            for method in route.methods or ():
                if method != "HEAD":
                    yield _Row(method, str(route.path_format), UNDOCUMENTED, UNDOCUMENTED)
