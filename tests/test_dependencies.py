"""What must not be installed, and why."""

from importlib.metadata import distributions

REFUSED = {
    "python-multipart": "no route takes a form: decision 7",
    "slowapi": "it does nothing on routes of included routers: decision 3",
    "python-jose": "hardly maintained, confuses algorithms",
    "passlib": "dead",
}


def test_nothing_that_we_refuse_is_installed() -> None:
    installed = {distribution.metadata["Name"].lower().replace("_", "-") for distribution in distributions()}
    assert "fastapi" in installed
    assert not installed & REFUSED.keys()
