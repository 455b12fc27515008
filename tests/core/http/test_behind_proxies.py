"""Raw requests through a real nginx and a real HAProxy: whatever they pass on, both sides see the same requests."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from doable.core.http.protocol import BoundedHttpProtocol
from tests.support.addresses import free_port
from tests.support.raw_requests import BAD, GOOD, PROBE
from tests.support.wire import Echo, serving

NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; client_max_body_size 8m;
  client_header_timeout 2s; client_body_timeout 2s; keepalive_timeout 2s; lingering_close off;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  upstream doable {{ server 127.0.0.1:{behind}; keepalive 1; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://doable; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""
HAPROXY = """
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 2s
  timeout server 5s
frontend in
  bind 127.0.0.1:{port}
  default_backend doable
backend doable
  server one 127.0.0.1:{behind}
"""
SECOND = b"GET /second HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@contextmanager
def nginx(folder: Path, behind: int) -> Iterator[int]:
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, port=port, behind=behind))
    with _running("nginx", "-c", str(configuration), "-p", str(folder), port=port):
        yield port


@contextmanager
def haproxy(folder: Path, behind: int) -> Iterator[int]:
    port = free_port()
    configuration = folder / "haproxy.cfg"
    configuration.write_text(HAPROXY.format(port=port, behind=behind))
    with _running("haproxy", "-db", "-f", str(configuration), port=port):
        yield port


@pytest.fixture
def app() -> Echo:
    return Echo()


@pytest.fixture(params=[nginx, haproxy], ids=["nginx", "haproxy"])
def port(request: pytest.FixtureRequest, app: Echo, tmp_path: Path) -> Iterator[int]:
    """Of the proxy, which keeps connections to the server and uses them for whoever comes next."""
    options: dict[str, Any] = {"loop": "uvloop", "ws": "none", "timeout_keep_alive": 30}
    with serving(app, BoundedHttpProtocol, **options) as behind, request.param(tmp_path, behind) as port:
        yield port


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_proxy_and_the_server_agree_where_a_request_ends(app: Echo, port: int) -> None:
    """What stands behind a request is answered to whoever sent it or not at all, and nobody else's answer is wrong."""
    for name, request in {**GOOD, **{name: request for name, (_, request) in BAD.items()}}.items():
        app.seen.clear()
        answers = _exchange(port, request + SECOND)
        seconds = [path for path, _ in app.seen if path == "/second"]
        assert len(seconds) <= answers.count(b'"path": "/second"'), name
        assert _exchange(port, PROBE).count(b'"path": "/probe"') == 1, f"poisoned by {name}"


def test_two_requests_on_one_connection_are_two(app: Echo, port: int) -> None:
    """Or the test above would prove nothing."""
    answers = _exchange(port, GOOD["a body"] + SECOND)
    assert [path for path, _ in app.seen] == ["/a", "/second"]
    assert answers.count(b'"path"') == 2


@contextmanager
def _running(program: str, *arguments: str, port: int) -> Iterator[None]:
    """The proxy, once it listens; a test that has none is skipped, but not in CI."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin")
    if found is None:
        message = f"{program} is not installed"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    process = subprocess.Popen([found, *arguments], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 20
        while not _listens(port):
            assert process.poll() is None, process.communicate()[1].decode()
            assert time.monotonic() < deadline, "it does not listen"
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=20)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _exchange(port: int, data: bytes) -> bytes:
    """All that comes back until the proxy ends the connection."""
    answers = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as wire, suppress(ConnectionError):
        wire.sendall(data)
        while received := wire.recv(65536):
            answers += received
    return answers
