"""From the dependency tree of a route to a list of steps in the order of their calls."""

from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fastapi.routing import RouteContext
from fastapi.security import SecurityScopes
from starlette.concurrency import run_in_threadpool

from doable.compiled_routes import framework
from doable.compiled_routes.eligibility import Ineligible
from doable.compiled_routes.framework import Dependant
from doable.compiled_routes.parameters import Call, Getter, Optional, body_getter, getter, leave_to_fastapi, optional

type Arguments = dict[str, Any]


@dataclass(slots=True)
class Step:
    """One call: of a dependency, or at last of the endpoint."""

    dependant: Dependant
    slot: int
    children: list[tuple[str | None, int]]
    injected: dict[str, Getter]
    embeds_body: bool
    sure: dict[str, str]
    """Arguments that need no look at the request: how source says them that knows `request`, `call` and `values`."""
    found: dict[str, Getter]
    """Arguments that are looked for in the request. Each raises `Unfit` or Pydantic's `ValidationError` where
    `bind_slowly` has to decide."""
    seldom: Callable[[Call], Arguments] | None
    """More of them, which are usually absent."""
    invoke: Callable[..., Any]
    opens: bool
    """`invoke` gives a context manager."""
    closes_before_answer: bool

    async def bind_slowly(self, call: Call) -> Arguments | None:
        """By FastAPI's own functions, which know every case and word every error; `None` when there are errors."""
        values: Arguments = {}
        errors: list[Any] = []
        for name, slot in self.children:
            if slot in call.failures:
                errors += call.failures[slot]
            elif name is not None:
                values[name] = call.values[slot]
        request, dependant = call.request, self.dependant
        for fields, source in (
            (dependant.path_params, request.path_params),
            (dependant.query_params, request.query_params),
            (dependant.header_params, request.headers),
            (dependant.cookie_params, request.cookies if dependant.cookie_params else {}),
        ):
            found, wrong = framework.request_params_to_args(fields, source)
            values |= found
            errors += wrong
        if dependant.body_params:
            found, wrong = await framework.request_body_to_args(
                body_fields=dependant.body_params, received_body=call.body, embed_body_fields=self.embeds_body
            )
            values |= found
            errors += wrong
        if errors:
            call.failures[self.slot] = errors
            return None
        return values | {name: get(call) for name, get in self.injected.items()}


@dataclass(slots=True)
class Plan:
    """The steps of a route; the last one calls its endpoint."""

    steps: list[Step] = field(default_factory=list)

    @property
    def opens(self) -> bool:
        return any(step.opens for step in self.steps)


def build(route: RouteContext) -> Plan:
    """Raises `Ineligible`."""
    plan = Plan()
    cached: dict[Any, int] = {}
    uses_scopes: dict[int, Any] = {}
    embeds_body = framework.embeds_body(route)

    def add(dependant: Dependant) -> int:
        # Children first and always: one that is not cached runs again even below a parent that is.
        children = [(child.name, add(child)) for child in dependant.dependencies]
        key = framework.cache_key(dependant=dependant, uses_scopes_cache=uses_scopes)
        if dependant.use_cache and key in cached:
            return cached[key]
        slot = len(plan.steps)
        plan.steps.append(_step(dependant, slot, children, embeds_body=embeds_body))
        cached.setdefault(key, slot)
        return slot

    add(route.dependant)
    return plan


def _step(dependant: Dependant, slot: int, children: list[tuple[str | None, int]], *, embeds_body: bool) -> Step:
    _check(dependant)
    invoke, opens = _invoke(dependant.call)
    seldom = [found for one in dependant.query_params if (found := optional(one)) is not None]
    return Step(
        dependant=dependant,
        slot=slot,
        children=children,
        injected=_injected(dependant),
        embeds_body=embeds_body,
        sure=_sure(dependant, children),
        found=_found(dependant, seldom, embeds_body=embeds_body),
        seldom=_seldom(seldom) if seldom else None,
        invoke=invoke,
        opens=opens,
        closes_before_answer=dependant.scope == "function",
    )


def _sure(dependant: Dependant, children: list[tuple[str | None, int]]) -> dict[str, str]:
    sources = (
        *((name, f"values[{child}]") for name, child in children),
        (dependant.http_connection_param_name, "request"),
        (dependant.request_param_name, "request"),
        (dependant.response_param_name, "call.response"),
    )
    return {name: source for name, source in sources if name is not None}


def _found(dependant: Dependant, seldom: list[Optional], *, embeds_body: bool) -> dict[str, Getter]:
    getters: dict[str, Getter | None] = {}
    elsewhere = {one.name for one in seldom}
    for fields in (dependant.path_params, dependant.query_params, dependant.header_params, dependant.cookie_params):
        getters |= {one.name: getter(one) for one in fields if one.name not in elsewhere}
    if dependant.body_params:
        only = len(dependant.body_params) == 1 and not embeds_body
        getters[dependant.body_params[0].name] = body_getter(dependant.body_params[0]) if only else None
    getters |= _scopes(dependant)
    return {name: get or leave_to_fastapi for name, get in getters.items()}


def _check(dependant: Dependant) -> None:
    if dependant.background_tasks_param_name is not None:
        raise Ineligible("it has background tasks")
    if dependant.concurrency is not None:
        raise Ineligible("a dependency limits its concurrency")
    if framework.is_generator(dependant.call):
        raise Ineligible("a dependency is a generator that is not async")


def _invoke(call: Callable[..., Any] | None) -> tuple[Callable[..., Any], bool]:
    if call is None:
        raise Ineligible("a dependency without a function")
    if framework.is_async_generator(call):
        return asynccontextmanager(call), True
    if framework.is_coroutine(call):
        return call, False
    return partial(run_in_threadpool, call), False


def _injected(dependant: Dependant) -> dict[str, Getter]:
    found: dict[str, Getter] = {
        name: lambda call: call.request
        for name in (dependant.http_connection_param_name, dependant.request_param_name)
        if name is not None
    }
    if dependant.response_param_name is not None:
        found[dependant.response_param_name] = lambda call: call.response
    return found | _scopes(dependant)


def _scopes(dependant: Dependant) -> dict[str, Getter]:
    if dependant.security_scopes_param_name is None:
        return {}
    scopes = framework.oauth_scopes(dependant=dependant)
    return {dependant.security_scopes_param_name: lambda _: SecurityScopes(scopes=list(scopes))}


def _seldom(optionals: list[Optional]) -> Callable[[Call], Arguments]:
    """Looks at what is in the query instead of looking for all that could be."""
    absent = {one.name: one.value for one in optionals}
    by_alias: dict[str, list[Optional]] = {}
    for one in optionals:
        by_alias.setdefault(one.alias, []).append(one)

    def find(call: Call) -> Arguments:
        arguments = absent.copy()
        for alias in call.query:
            for one in by_alias.get(alias, ()):
                arguments[one.name] = one.get(call)
        return arguments

    return find
