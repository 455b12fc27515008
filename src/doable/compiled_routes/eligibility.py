"""Which routes can be compiled, and why others cannot."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi import FastAPI, params
from fastapi.datastructures import DefaultPlaceholder
from fastapi.routing import APIRoute, RouteContext
from starlette.requests import Request
from starlette.responses import Response

from doable.compiled_routes import framework

type Handle = Callable[[Request], Coroutine[Any, Any, Response]]
type Wrap = Callable[[APIRoute, Handle], Handle]
type Wraps = Mapping[type[APIRoute], Wrap]
"""For each class of routes with a `get_route_handler` of its own: what that puts around the handler of a route."""


class Ineligible(Exception):
    """FastAPI serves this route; the message says why."""


def check(app: FastAPI, route: RouteContext, wraps: Wraps) -> None:
    """Raises `Ineligible`."""
    kind = type(route.original_route)
    if not issubclass(kind, APIRoute):
        raise Ineligible(f"a {kind.__name__} is no path operation")
    if kind is not APIRoute and kind not in wraps:
        raise Ineligible(f"nothing is known of what a {kind.__name__} does")
    if not framework.is_coroutine(route.endpoint):
        raise Ineligible("the endpoint is no coroutine function")
    if not isinstance(route.response_class, DefaultPlaceholder):
        raise Ineligible("it has a response class of its own")
    if route.body_field is not None:
        _check_body(app, route)


def _check_body(app: FastAPI, route: RouteContext) -> None:
    if isinstance(route.body_field.field_info, params.Form):
        raise Ineligible("the body is a form")
    if route.max_body_size is not None or app.max_body_size is not None:
        raise Ineligible("FastAPI limits its body")
