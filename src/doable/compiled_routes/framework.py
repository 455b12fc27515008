"""What is borrowed from FastAPI without being its documented API, so that an upgrade is looked at in one place."""

from typing import Any

import fastapi
from fastapi._compat import ModelField, field_annotation_is_sequence
from fastapi.dependencies.models import (
    Dependant,
    _get_cache_key,
    _get_oauth_scopes,
    _is_async_gen_callable,
    _is_coroutine_callable,
    _is_gen_callable,
)
from fastapi.dependencies.utils import get_validation_alias, request_body_to_args, request_params_to_args
from fastapi.routing import _extract_endpoint_context, iter_route_contexts

TESTED = "0.165"
"""The minor version whose behaviour is mirrored here; the comparison with FastAPI is the test of the next one."""

is_tested = fastapi.__version__.rpartition(".")[0] == TESTED

cache_key = _get_cache_key
oauth_scopes = _get_oauth_scopes
is_coroutine = _is_coroutine_callable
is_generator = _is_gen_callable
is_async_generator = _is_async_gen_callable
endpoint_context = _extract_endpoint_context


def adapter(field: ModelField) -> Any:
    """The `TypeAdapter` behind a field; `field.validate` words errors, which costs more."""
    return field._type_adapter  # noqa: SLF001 — nothing public leads to it


def embeds_body(route: Any) -> bool:
    embeds: bool = route._embed_body_fields  # noqa: SLF001 — nothing public says it
    return embeds


__all__ = [
    "Dependant",
    "ModelField",
    "adapter",
    "cache_key",
    "embeds_body",
    "endpoint_context",
    "field_annotation_is_sequence",
    "get_validation_alias",
    "is_async_generator",
    "is_coroutine",
    "is_generator",
    "is_tested",
    "iter_route_contexts",
    "oauth_scopes",
    "request_body_to_args",
    "request_params_to_args",
]
