"""`doable routes` and `doable openapi`: what the server offers, told without a server or a database."""

import json
from pathlib import Path

from doable.app import create_api
from doable.core.http import openapi
from tests.cli.conftest import Doable
from tests.support import configuration


def test_the_document_is_the_one_that_the_server_offers(doable_here: Doable, folder: Path) -> None:
    result = doable_here("openapi")
    assert result.returncode == 0
    assert result.stdout == openapi.render(create_api(configuration.make_settings("sqlite:///x", folder)).openapi())
    assert result.stdout.endswith("}\n")
    assert json.loads(result.stdout)["info"]["title"] == "Todo API"


def test_nothing_is_opened_for_it(doable: Doable, folder: Path) -> None:
    result = doable("routes", DATABASE_URL="postgresql://ana@127.0.0.1:1/nowhere")
    assert result.returncode == 0
    assert list(folder.iterdir()) == []


def test_every_route_is_listed_with_its_name_and_protection(doable_here: Doable) -> None:
    result = doable_here("routes", METRICS_TOKEN="a-token-of-the-tests")
    head, *lines = [line.split(maxsplit=4) for line in result.stdout.splitlines()]
    assert head == ["METHOD", "PATH", "OPERATION", "PROTECTION", "COMPILED"]
    rows = {(method, path): (operation, protection) for method, path, operation, protection, _ in lines}
    assert rows["POST", "/api/v1/todos"] == ("create_todo", "bearer")
    assert rows["POST", "/api/v1/auth/login"] == ("login", "public")
    assert rows["GET", "/health/ready"] == ("health_ready", "public")
    assert rows["GET", "/metrics"] == ("-", "-")
    document = json.loads(doable_here("openapi").stdout)
    documented = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert documented <= set(rows)
    assert {name for name in rows if rows[name][0] != "-"} == documented


def test_routes_say_whether_they_are_compiled_and_why_not(doable_here: Doable) -> None:
    rows = _compiled(doable_here("routes").stdout)
    assert rows["GET", "/api/v1/todos/{todo_id}"] == "yes"
    assert rows["GET", "/docs"] == "no: a Route is no path operation"
    assert set(_compiled(doable_here("routes", COMPILED_ROUTES="false").stdout).values()) == {
        "no: COMPILED_ROUTES=false"
    }


def _compiled(listing: str) -> dict[tuple[str, str], str]:
    lines = [line.split(maxsplit=4) for line in listing.splitlines()[1:]]
    return {(method, path): compiled for method, path, _, _, compiled in lines}
