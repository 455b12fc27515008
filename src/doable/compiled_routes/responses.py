"""From what an endpoint returns to a response, as FastAPI serialises it."""

from collections.abc import Callable
from typing import Any

from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import ResponseValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import RouteContext
from fastapi.utils import is_body_allowed_for_status_code
from pydantic import ValidationError
from starlette.responses import Response

from doable.compiled_routes import framework
from doable.compiled_routes.framework import ModelField
from doable.compiled_routes.parameters import Call

type Shape = Callable[[Call, Any], Response]

_OPTIONS = ("include", "exclude", "by_alias", "exclude_unset", "exclude_defaults", "exclude_none")


def shaping(route: RouteContext) -> Shape:
    """A function of the call and of what its endpoint has returned."""
    serialise = _by_model(route, route.response_field) if route.response_field is not None else None
    declared = route.status_code

    def shape(call: Call, returned: Any) -> Response:
        if isinstance(returned, Response):
            return returned
        given: Any = call.response
        status = given.status_code or declared or (200 if given.status_code is None else 0)
        if serialise is None:
            response: Response = JSONResponse(jsonable_encoder(returned), status)
        else:
            response = Response(serialise(call, returned), status, media_type="application/json")
        if not is_body_allowed_for_status_code(response.status_code):
            response.body = b""
        response.raw_headers += given.raw_headers
        return response

    return shape


def _by_model(route: RouteContext, field: ModelField) -> Callable[[Call, Any], bytes]:
    adapter = framework.adapter(field)
    validate, dump = adapter.validator.validate_python, adapter.serializer.to_json
    options = {name: getattr(route, f"response_model_{name}") for name in _OPTIONS}

    def serialise(call: Call, returned: Any) -> bytes:
        try:
            value = validate(returned, from_attributes=True)
        except ValidationError:
            _, errors = field.validate(returned, {}, loc=("response",))
            raise ResponseValidationError(
                errors=errors, body=returned, endpoint_ctx=context(route, call.request.scope)
            ) from None
        serialised: bytes = dump(value, **options)
        return serialised

    return serialise


def context(route: RouteContext, scope: Any) -> Any:
    """What FastAPI tells with an error of validation about where it was."""
    mount = scope.get("root_path", "").rstrip("/")
    found = framework.endpoint_context(route.endpoint)
    return {**found, "path": f"{scope['method']} {mount}{route.dependant.path}"}
