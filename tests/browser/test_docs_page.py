"""`/docs` in a real Chromium: it works without any other server and breaks no policy, also while it is used."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support import configuration, databases, servers

# A browser on a busy machine is slow. One worker of pytest starts it, and the server, once.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(180), pytest.mark.xdist_group("browser")]

PASSWORD = "seven-Quiet-lanterns-41"
RECORDER = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
});
"""


@pytest.fixture(scope="module")
def server(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    folder = tmp_path_factory.mktemp("docs_page")
    settings = configuration.make_settings(databases.copy_sqlite(sqlite_template, folder), folder / "data")
    with servers.serve(settings, folder) as server:
        yield server


class Observed:
    """A page, and all that must not happen on it."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.troubles: list[str] = []
        self._origin = origin
        page.add_init_script(RECORDER)
        page.on("request", lambda request: self._note_request(request.url))
        page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        page.on("console", lambda line: self._note_line(line.type, line.text))

    def violations(self) -> list[str]:
        found: list[str] = self.page.evaluate("window.violations")
        return found

    def _note_request(self, url: str) -> None:
        if not url.startswith((f"{self._origin}/", "data:")):
            self.troubles.append(f"request to {url}")

    def _note_line(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.troubles.append(f"console: {text}")


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    arguments = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=chromium, args=arguments) as made:
        yield made


@pytest.fixture
def observed(server: servers.Server, browser: Browser) -> Iterator[Observed]:
    """With no cookie and no cache of another test."""
    with browser.new_context(viewport={"width": 1280, "height": 1000}) as context:
        yield Observed(context.new_page(), server.base_url)


@pytest.mark.parametrize("path", ["/docs", "/docs/", "/redoc"])
def test_the_page_shows_every_operation(observed: Observed, server: servers.Server, path: str) -> None:
    observed.page.goto(server.base_url + path)
    expect(observed.page.locator(".opblock")).to_have_count(operations(server))
    expect(observed.page.locator(".errors-wrapper")).to_have_count(0)
    assert observed.violations() == []
    assert observed.troubles == []


def test_operations_of_all_kinds_can_be_opened(observed: Observed, server: servers.Server) -> None:
    page = observed.page
    page.goto(server.base_url + "/docs")
    expect(page.locator(".opblock")).to_have_count(operations(server))
    some = page.locator(".opblock-summary-control").all()[::9]  # each that is open makes the next one slower
    for control in some:
        control.click()
    expect(page.locator(".opblock.is-open")).to_have_count(len(some))
    expect(page.locator(".opblock .responses-table").first).to_be_visible()
    expect(page.locator(".errors-wrapper")).to_have_count(0)
    assert observed.violations() == []
    assert observed.troubles == []


def test_a_call_with_a_pasted_token_works(observed: Observed, server: servers.Server) -> None:
    token = logged_in(server)
    page = observed.page
    page.goto(server.base_url + "/docs")
    authorize(page, token)
    answer = execute(page, "POST", "/api/v1/todos", '{"title": "Made on the page"}')
    assert answer == 201
    todos = call(server, "GET", "/todos", token=token)
    assert [todo["title"] for todo in todos["items"]] == ["Made on the page"]
    assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]
    assert observed.violations() == []
    assert observed.troubles == []


def test_the_policy_stops_what_somebody_might_slip_into_the_page(observed: Observed, server: servers.Server) -> None:
    page = observed.page
    page.goto(server.base_url + "/docs")
    page.evaluate("""() => {
      const script = document.createElement("script");
      script.textContent = "window.slipped = true";
      document.body.append(script);
      const image = document.createElement("img");
      image.src = "http://127.0.0.1:9/secret";
      document.body.append(image);
    }""")
    page.wait_for_function("window.violations.length >= 2")
    assert {violation.split()[0] for violation in observed.violations()} == {"script-src-elem", "img-src"}
    assert page.evaluate("window.slipped") is None


def operations(server: servers.Server) -> int:
    document = httpx2.get(f"{server.base_url}/openapi.json", trust_env=False).json()
    return sum(len(item) for item in document["paths"].values())


def logged_in(server: servers.Server) -> str:
    """The access token of a new person."""
    person = {"email": "ana@example.com", "username": "ana", "password": PASSWORD, "confirm_password": PASSWORD}
    call(server, "POST", "/users", body=person)
    pair = call(server, "POST", "/auth/login", body={"login": "ana", "password": PASSWORD})
    token: str = pair["access_token"]
    return token


def call(
    server: servers.Server, method: str, path: str, *, body: dict[str, str] | None = None, token: str | None = None
) -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = f"{server.base_url}/api/v1{path}"
    answer = httpx2.request(method, url, json=body, headers=headers, trust_env=False)
    assert answer.is_success, answer.text
    return answer.json()


def authorize(page: Page, token: str) -> None:
    page.locator(".auth-wrapper button.authorize").click()
    page.locator(".auth-container input").fill(token)
    page.locator(".auth-btn-wrapper button.authorize").click()
    page.locator(".auth-btn-wrapper button.btn-done").click()


def execute(page: Page, method: str, path: str, body: str) -> int:
    """The status that the page shows for a call made with it."""
    block = page.locator(f".opblock-{method.lower()}").filter(has=page.locator(f'[data-path="{path}"]'))
    block.locator(".opblock-summary-control").click()
    block.locator(".try-out__btn").click()
    block.locator("textarea.body-param__text").fill(body)
    block.locator("button.execute").click()
    status = block.locator(".live-responses-table tbody .response-col_status").first
    expect(status).to_be_visible()
    return int(status.inner_text().split()[0])
