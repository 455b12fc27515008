"""No parameter of a query is ignored: a filter that nobody knows would answer more, or do more, than was asked for."""

from collections.abc import Awaitable, Callable, Iterator

from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_parameterless_sub_dependant, get_validation_alias
from fastapi.routing import iter_route_contexts

from doable import compiled_routes
from doable.core.errors import invalid_field
from doable.core.http.routing import Route

LONGEST_NAME = 100


def install(app: FastAPI) -> None:
    """Have each operation refuse what it does not declare; when all its routers are included.

    As the last dependency, for who asks comes before what is asked: a dependency that a router declares is the first.
    """
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, Route):
            dependant: Dependant = route.dependant
            refusing = Depends(_refusing(frozenset(_names(dependant))))
            dependant.dependencies.append(
                get_parameterless_sub_dependant(depends=refusing, path=route.path_format or "")
            )


def _refusing(known: frozenset[str]) -> Callable[[Request], Awaitable[None]]:
    async def refuse_unknown(request: Request) -> None:
        for name in compiled_routes.query(request.scope["query_string"]):
            if name not in known:
                raise invalid_field(f"query.{name[:LONGEST_NAME]}", "There is no such parameter.")

    return refuse_unknown


def _names(dependant: Dependant) -> Iterator[str]:
    yield from map(get_validation_alias, dependant.query_params)
    for inner in dependant.dependencies:
        yield from _names(inner)
