"""One closure for each declared parameter: it finds a *valid* value in the request, or leaves the case to FastAPI."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple, get_args
from urllib.parse import parse_qsl

from fastapi import params
from pydantic import AliasChoices, AliasPath, BaseModel, Json
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from starlette.requests import Request
from starlette.responses import Response

from doable.compiled_routes import framework
from doable.compiled_routes.framework import ModelField

MISSING = PydanticUndefined
MOST_QUERIES = 500
"""Kept when they have been read, if they have at most `LONGEST_QUERY` bytes: in the memory of all of them together
strangers can keep about three megabytes."""
LONGEST_QUERY = 200


class Unfit(Exception):
    """The short way does not apply to this request."""


class Call:
    """What is known of one request while its handler runs."""

    __slots__ = ("body", "failures", "request", "response", "values")

    def __init__(self, request: Request, body: Any, dependencies: int) -> None:
        self.request = request
        self.body = body
        self.response = _blank_response()
        self.values: list[Any] = [None] * dependencies
        self.failures: dict[int, list[Any]] = {}

    @property
    def query(self) -> Mapping[str, str]:
        return query(self.request.scope.get("query_string", b""))


def query(written: bytes) -> Mapping[str, str]:
    """The last value of each name, as Starlette's `QueryParams` has it. Most clients ask in few ways, over and over."""
    return _known_query(written) if len(written) <= LONGEST_QUERY else _read_query(written)


def _read_query(written: bytes) -> Mapping[str, str]:
    return MappingProxyType(dict(parse_qsl(written.decode("latin-1"), keep_blank_values=True)))


_known_query = lru_cache(MOST_QUERIES)(_read_query)


type Getter = Callable[[Call], Any]


def getter(field: ModelField) -> Getter | None:
    """`None` when FastAPI has to read this parameter of every request."""
    if _is_special(field):
        return None
    info = field.field_info
    name = framework.get_validation_alias(field)
    validate, default = framework.adapter(field).validator.validate_python, _default(field)
    if framework.field_annotation_is_sequence(info.annotation):
        return _of_query_list(name, validate, default) if isinstance(info, params.Query) else None
    match info:
        case params.Path():
            return lambda call: validate(call.request.scope["path_params"][name], from_attributes=True)
        case params.Header():
            return _of(lambda call: call.request.headers.get(name), validate, default)
        case params.Query():
            return _of(lambda call: call.query.get(name), validate, default)
    return None  # a cookie, or anything new


class Optional(NamedTuple):
    """A parameter of the query that is usually absent, and then a constant."""

    name: str
    alias: str
    value: Any
    get: Getter


def optional(field: ModelField) -> Optional | None:
    info, get = field.field_info, getter(field)
    is_scalar = isinstance(info, params.Query) and not framework.field_annotation_is_sequence(info.annotation)
    if get is None or not is_scalar or not _is_constant(info):
        return None
    return Optional(field.name, framework.get_validation_alias(field), info.default, get)


def _of(find: Getter, validate: Callable[..., Any], default: Callable[[], Any]) -> Getter:
    def get(call: Call) -> Any:
        value = find(call)
        return default() if value is None else validate(value, from_attributes=True)

    return get


def _of_query_list(name: str, validate: Callable[..., Any], default: Callable[[], Any]) -> Getter:
    def get(call: Call) -> Any:
        values = call.request.query_params.getlist(name) if name in call.query else ()
        return validate(values, from_attributes=True) if values else default()

    return get


def body_getter(field: ModelField) -> Getter:
    """For a body that is one parameter."""
    validate, default = framework.adapter(field).validator.validate_python, _default(field)

    def of_body(call: Call) -> Any:
        return default() if call.body is MISSING else validate(call.body, from_attributes=True)

    return of_body


def _is_special(field: ModelField) -> bool:
    """Parameter models, several aliases and JSON in a string are read in ways of their own."""
    info = field.field_info
    return bool(
        field.config
        or isinstance(info.validation_alias, AliasChoices | AliasPath)
        or _mentions_model(info.annotation)
        or any(item is Json or type(item) is Json for item in info.metadata)
    )


def _mentions_model(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return True
    return any(_mentions_model(argument) for argument in get_args(annotation))


def _default(field: ModelField) -> Callable[[], Any]:
    info = field.field_info
    if info.is_required() or info.validate_default:
        return leave_to_fastapi
    if _is_constant(info):
        value = info.default
        return lambda: value
    return lambda: deepcopy(field.default)


def _is_constant(info: FieldInfo) -> bool:
    if info.is_required() or info.validate_default or info.default_factory is not None:
        return False
    return type(info.default) in {type(None), bool, int, float, str, bytes}


def leave_to_fastapi(*_: Call) -> Any:
    """In place of a getter, or of a default, for what only FastAPI can read."""
    raise Unfit


def _blank_response() -> Response:
    """`Response()` as FastAPI injects it, which is without a status and without headers, and half its price."""
    response = Response.__new__(Response)
    response.status_code = None  # type: ignore[assignment]
    response.background = None
    response.body = b""
    response.raw_headers = []
    return response
