"""The document that clients are generated from: complete, valid, and the one that is committed."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.openapi.models import OpenAPI
from fastapi.routing import iter_route_contexts
from pydantic import TypeAdapter

from doable.app import create_api
from doable.core.errors import Code
from doable.core.http import openapi
from doable.settings import Settings
from tests.support import configuration

SNAPSHOT = Path(__file__).parents[1] / "docs" / "openapi.json"
PREFIX = Settings.model_fields["api_v1_prefix"].default
METHODS = {"get", "put", "post", "delete", "patch"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    folder = tmp_path_factory.mktemp("openapi")
    return create_api(configuration.make_settings(f"sqlite:///{folder}/doable.db", folder))


@pytest.fixture(scope="module")
def document(api: FastAPI) -> dict[str, Any]:
    return api.openapi()


def test_the_committed_document_is_the_present_one(document: dict[str, Any]) -> None:
    committed = SNAPSHOT.read_text(encoding="utf-8") if SNAPSHOT.exists() else ""
    assert committed == openapi.render(document), "run `doable openapi > docs/openapi.json` and read the difference"


def test_it_is_an_openapi_3_1_document_about_this_api(document: dict[str, Any]) -> None:
    OpenAPI.model_validate(document)
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["title"] == "Todo API"
    assert document["info"]["description"] == "Production-grade Todo API with authentication"
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", document["info"]["version"])


def test_every_reference_leads_somewhere_and_no_component_is_unused(document: dict[str, Any]) -> None:
    targets = set(references(document))
    for target in targets:
        kind, name = target.removeprefix("#/components/").split("/")
        assert name in document["components"][kind], f"{target} leads nowhere"
        assert re.fullmatch(r"[A-Za-z0-9._-]+", name), name
    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert not schemas - targets


def test_every_operation_has_a_name_of_its_own_a_known_tag_and_its_path_parameters(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"] if tag["description"]}
    names = set()
    for method, path, operation in operations(document):
        name = operation["operationId"]
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name), f"{method} {path}: {name}"
        assert name not in names, f"{method} {path}: {name} is taken"
        names.add(name)
        assert set(operation["tags"]) <= tags, f"{name}: a tag without a description"
        placed = {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "path"}
        assert placed == set(re.findall(r"{(\w+)}", path)), name


def test_the_bearer_scheme_protects_what_answers_401_for_the_lack_of_it(document: dict[str, Any]) -> None:
    scheme = document["components"]["securitySchemes"]
    assert list(scheme) == ["BearerAuth"]
    assert scheme["BearerAuth"]["type"] == "http"
    assert scheme["BearerAuth"]["scheme"] == "bearer"
    assert scheme["BearerAuth"]["bearerFormat"] == "JWT"
    protected = [operation for _, _, operation in operations(document) if operation.get("security")]
    assert protected
    for operation in protected:
        assert {"BearerAuth": []} in operation["security"]
        assert Code.UNAUTHENTICATED in codes(document, operation)


def test_every_operation_tells_what_any_of_its_kind_refuses(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        if not path.startswith(PREFIX):
            continue
        expected = {
            Code.MALFORMED_REQUEST,
            Code.VALIDATION_ERROR,
            Code.RATE_LIMITED,
            Code.HEADERS_TOO_LARGE,
            Code.UNAVAILABLE,
        }
        if "requestBody" in operation:
            expected |= {Code.BODY_TOO_LARGE, Code.UNSUPPORTED_MEDIA_TYPE}
        assert expected <= codes(document, operation), f"{method} {path}"


def test_every_refusal_has_both_forms_and_an_example_of_each_code(document: dict[str, Any]) -> None:
    forms: dict[str, type[openapi.Error | openapi.Problem]] = {
        "application/json": openapi.Error,
        "application/problem+json": openapi.Problem,
    }
    for method, path, operation in operations(document):
        if not path.startswith(PREFIX):
            continue  # /health/ready says in the same words why it is unready
        for status, response in refusals(document, operation):
            assert set(response["content"]) == set(forms), f"{method} {path} {status}"
            for media_type, model in forms.items():
                content = response["content"][media_type]
                assert content["schema"] == {"$ref": f"#/components/schemas/{model.__name__}"}
                for example in content["examples"].values():
                    model.model_validate(found(document, example)["value"])


def test_every_code_of_the_contract_has_an_example() -> None:
    assert set(openapi.SAMPLES) == set(Code)


def test_the_frameworks_own_error_is_gone(document: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in openapi.render(document)
    assert openapi.CODES not in openapi.render(document)


def test_every_schema_has_an_example(document: dict[str, Any]) -> None:
    lacking = [name for name, schema in document["components"]["schemas"].items() if not schema.get("examples")]
    assert not lacking, "give these `json_schema_extra` examples, or their fields `examples`"


def test_examples_are_what_the_operations_take_and_answer(api: FastAPI, document: dict[str, Any]) -> None:
    checked = 0
    for route in iter_route_contexts(api.routes):
        for method in METHODS & {name.lower() for name in route.methods or ()}:
            operation = document["paths"].get(getattr(route, "path_format", None), {}).get(method)
            if operation is None:
                continue
            for kind, content in contents(operation):
                field = route.body_field if kind == "request" else route.response_field
                if field is None:
                    continue  # it reads its body itself
                example = found(document, content["schema"])["examples"][0]
                TypeAdapter(field.field_info.annotation).validate_python(example)
                checked += 1
    assert checked > len(document["paths"]) / 2


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        assert set(item) <= METHODS, f"{path}: {set(item) - METHODS}"
        for method, operation in item.items():
            yield method, path, operation


def refusals(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for status, response in operation["responses"].items():
        if status.startswith(("4", "5")):
            yield status, found(document, response)


def codes(document: dict[str, Any], operation: dict[str, Any]) -> set[str]:
    answers = [answer["content"]["application/json"] for _, answer in refusals(document, operation)]
    return {code for answer in answers for code in answer["examples"]}


def contents(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """JSON that the operation takes, and that it answers when it succeeds, where it has a named schema."""
    places = [("request", operation.get("requestBody", {}))]
    places += [("answer", answer) for status, answer in operation["responses"].items() if status.startswith("2")]
    for kind, place in places:
        content = place.get("content", {}).get("application/json")
        if content and "$ref" in content["schema"]:
            yield kind, content


def found(document: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    """What a `$ref` leads to."""
    kind, name = reference["$ref"].removeprefix("#/components/").split("/")
    target: dict[str, Any] = document["components"][kind][name]
    return target


def references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for inner in part.values():
            yield from references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from references(inner)
