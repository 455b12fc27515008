from typing import Annotated

import pytest
from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from doable.core.errors import Code
from doable.core.http import idempotency, openapi
from doable.settings import Settings

BEARER = HTTPBearer(scheme_name="BearerAuth", bearerFormat="JWT", auto_error=False)


class Place(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Zagreb", "zone": None}]})

    name: str
    zone: str | None


class Thing(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"title": "Cup", "owner": None, "at": {"name": "Split", "zone": None}}]}
    )

    title: str
    owner: str | None
    at: Place | None


class ThingPage(BaseModel):
    items: list[Thing]
    size: Annotated[int, Field(examples=[20])]


def make(api: FastAPI, **settings: str) -> openapi.Document:
    openapi.install(api, Settings.model_validate(settings))
    return api.openapi()


@pytest.fixture
def api() -> FastAPI:
    return FastAPI(generate_unique_id_function=openapi.operation_id)


def test_an_example_keeps_its_nulls_and_a_page_is_made_of_its_items(api: FastAPI) -> None:
    @api.get("/api/v1/things")
    async def list_things() -> ThingPage:
        raise NotImplementedError

    thing = {"title": "Cup", "owner": None, "at": {"name": "Split", "zone": None}}
    schemas = make(api)["components"]["schemas"]
    assert schemas["Thing"]["examples"] == [thing]
    assert schemas["ThingPage"]["examples"] == [{"items": [thing], "size": 20}]


def test_a_schema_that_says_too_little_gets_no_made_up_example(api: FastAPI) -> None:
    class Vague(BaseModel):
        name: str

    @api.get("/api/v1/vague")
    async def get_vague() -> Vague:
        raise NotImplementedError

    assert "examples" not in make(api)["components"]["schemas"]["Vague"]


def test_declared_and_common_codes_of_a_status_stand_together(api: FastAPI) -> None:
    declared = openapi.errors(Code.LIMIT_REACHED, Code.IN_TRASH, Code.ALREADY_EXISTS)

    @api.post(
        "/api/v1/things",
        status_code=201,
        dependencies=[idempotency.Ignored],
        responses={**declared, **openapi.headers(201, "Location")},
    )
    async def create_thing(thing: Thing, _: Annotated[object, Depends(BEARER)]) -> Thing:
        raise NotImplementedError

    document = make(api)
    responses = document["paths"]["/api/v1/things"]["post"]["responses"]
    assert list(responses) == ["201", "400", "401", "409", "413", "415", "422", "429", "431", "503"]
    assert responses["201"]["headers"] == {"Location": {"$ref": "#/components/headers/Location"}}
    assert responses["409"] == {"$ref": "#/components/responses/ALREADY_EXISTS.IN_TRASH"}
    assert responses["422"] == {"$ref": "#/components/responses/LIMIT_REACHED.VALIDATION_ERROR"}
    shared = document["components"]["responses"]["LIMIT_REACHED.VALIDATION_ERROR"]
    assert list(shared["content"]["application/json"]["examples"]) == ["LIMIT_REACHED", "VALIDATION_ERROR"]


def test_a_public_read_without_parameters_refuses_only_what_all_do(api: FastAPI) -> None:
    @api.get("/api/v1/things")
    async def list_things() -> ThingPage:
        raise NotImplementedError

    assert list(make(api)["paths"]["/api/v1/things"]["get"]["responses"]) == ["200", "400", "422", "429", "431", "503"]


def test_outside_the_prefix_only_declared_codes_are_told(api: FastAPI) -> None:
    @api.get("/health/ready", responses=openapi.errors(Code.UNAVAILABLE))
    async def ready() -> Place:
        raise NotImplementedError

    responses = make(api)["paths"]["/health/ready"]["get"]["responses"]
    assert list(responses) == ["200", "503"]
    assert responses["503"] == {"$ref": "#/components/responses/UNAVAILABLE"}


@pytest.mark.filterwarnings("ignore:Duplicate Operation ID")
def test_two_operations_of_one_name_are_refused(api: FastAPI) -> None:
    @api.get("/api/v1/things")
    @api.get("/api/v1/cups")
    async def list_things() -> ThingPage:
        raise NotImplementedError

    with pytest.raises(ValueError, match="another operation is named 'list_things' too"):
        make(api)


def test_behind_a_path_of_a_proxy_the_document_tells_it(api: FastAPI) -> None:
    assert make(api, public_url="https://example.com/todo/")["servers"] == [{"url": "/todo"}]


def test_the_document_is_built_once(api: FastAPI) -> None:
    assert make(api) is api.openapi()
