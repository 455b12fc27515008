"""The rules that hold the shape of the code, each with a planted violation that proves it awake."""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "doable"

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 40

type Function = ast.FunctionDef | ast.AsyncFunctionDef
type Violation = tuple[int, str]


@dataclass(frozen=True)
class Module:
    """`path` is relative to `src/doable`."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    def is_part_of(self, kind: str) -> bool:
        """Whether this is a feature's `operations.py`, or a file of its folder `operations/`."""
        return kind in Path(self.path).with_suffix("").parts

    @property
    def is_migration(self) -> bool:
        """Written once, read top to bottom, never changed: no budget."""
        return self.path.startswith("migrations/versions/")

    def calls(self) -> Iterator[ast.Call]:
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.Call))

    def functions(self) -> Iterator[Function]:
        return (node for node in ast.walk(self.tree) if isinstance(node, Function.__value__))


@dataclass(frozen=True)
class Rule:
    check: Callable[[Module], Iterator[Violation]]
    planted: Module

    def __str__(self) -> str:
        return self.check.__name__


RULES: list[Rule] = []


def rule(
    path: str, planted: str
) -> Callable[[Callable[[Module], Iterator[Violation]]], Callable[[Module], Iterator[Violation]]]:
    """Register a check together with a file that breaks it."""

    def register(check: Callable[[Module], Iterator[Violation]]) -> Callable[[Module], Iterator[Violation]]:
        RULES.append(Rule(check, Module(path, planted)))
        return check

    return register


@pytest.fixture(scope="module")
def modules() -> list[Module]:
    paths = sorted(SOURCE.rglob("*.py"))
    assert paths, f"no source in {SOURCE}"
    return [Module(path.relative_to(SOURCE).as_posix(), path.read_text()) for path in paths]


# Transactions


@rule("todos/operations.py", "async def close(connection):\n    await connection.commit()\n")
def transactions_end_in_one_place(module: Module) -> Iterator[Violation]:
    if module.path == "core/transactions.py" or module.path.startswith(("core/executors/", "migrations/")):
        return
    for call in module.calls():
        if isinstance(call.func, ast.Attribute) and call.func.attr in {"begin", "begin_nested", "commit", "rollback"}:
            yield call.lineno, f"{call.func.attr}() belongs to core/transactions.py"


@rule("todos/operations.py", "async def complete(tx: Transaction, mailer):\n    await mailer.send('done')\n")
@rule("cli/user.py", "async def create(db):\n    async with db.transaction() as tx:\n        await sleep(1)\n")
def a_writing_transaction_awaits_nothing_but_itself(module: Module) -> Iterator[Violation]:
    """It holds locks: whatever else it waited for, every writer of the list would wait for too."""
    for function in module.functions():
        for transaction, held in _transactions(function, given=module.is_part_of("operations")):
            for waited in _waited_for(held):
                if not _concerns(waited, transaction):
                    yield waited.lineno, f"{function.name} awaits {ast.unparse(waited)} while it may hold locks"


def _transactions(function: Function, *, given: bool) -> Iterator[tuple[str, list[ast.stmt]]]:
    """The names of open transactions, with the statements during which they are open."""
    arguments = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    for argument in arguments if given else ():
        if argument.annotation is not None and ast.unparse(argument.annotation).endswith("Transaction"):
            yield argument.arg, function.body
    for node in (node for node in ast.walk(function) if isinstance(node, ast.AsyncWith)):
        for item in node.items:
            if ast.unparse(item.context_expr).endswith(".transaction()") and isinstance(item.optional_vars, ast.Name):
                yield item.optional_vars.id, node.body


def _waited_for(statements: list[ast.stmt]) -> Iterator[ast.expr]:
    for node in ast.walk(ast.Module(statements, [])):
        match node:
            case ast.Await(value=value):
                yield value
            case ast.AsyncFor(iter=iterated):
                yield iterated
            case ast.AsyncWith(items=items):
                yield from (item.context_expr for item in items)


def _concerns(waited: ast.expr, transaction: str) -> bool:
    if not isinstance(waited, ast.Call):
        return False
    if ast.unparse(waited.func) == "failpoints.reach" or _root(waited.func) == transaction:
        return True
    given = (*waited.args, *(keyword.value for keyword in waited.keywords))
    # `tx.ahead`, which is a `reader` where it is passed on, is the transaction, or holds nothing yet.
    return any(_root(value) in {transaction, "reader"} for value in given)


def _root(expression: ast.expr) -> str | None:
    while isinstance(expression, ast.Attribute | ast.Call):
        expression = expression.func if isinstance(expression, ast.Call) else expression.value
    return expression.id if isinstance(expression, ast.Name) else None


# Imports and names


@rule("todos/routes.py", "def page():\n    import json\n    return json\n")
def imports_are_at_the_top(module: Module) -> Iterator[Violation]:
    """The CLI's command table imports by name, on use: the one place where starting fast is worth it."""
    for function in module.functions():
        for node in ast.walk(function):
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield node.lineno, f"{function.name} imports when it is called"
    if not module.path.startswith("cli/"):
        for call in module.calls():
            if ast.unparse(call.func) in {"__import__", "import_module", "importlib.import_module"}:
                yield call.lineno, "imports by name"


@rule("todos/routes.py", "from . import operations\n")
def imports_are_absolute(module: Module) -> Iterator[Violation]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield node.lineno, "relative import"


@rule("core/utils.py", '"""Things."""\n')
def modules_are_named_for_what_they_hold(module: Module) -> Iterator[Violation]:
    refused = {"utils", "util", "helpers", "helper", "common", "base", "misc", "service", "services", "manager"}
    for part in Path(module.path).with_suffix("").parts:
        if part in refused:
            yield 1, f"{part} says nothing"


@rule("todos/labels.py", "LABELS = 20\n")
def modules_say_what_belongs_in_them(module: Module) -> Iterator[Violation]:
    if not ast.get_docstring(module.tree):
        yield 1, "no docstring"


# Budgets


@rule("todos/routes.py", '"""Too much."""\n' + "x = 1\n" * MAX_FILE_LINES)
def files_are_short(module: Module) -> Iterator[Violation]:
    lines = len(module.text.splitlines())
    if not module.is_migration and lines > MAX_FILE_LINES:
        yield lines, f"{lines} lines, the budget is {MAX_FILE_LINES}"


@rule("todos/routes.py", "def page():\n" + "    x = 1\n" * MAX_FUNCTION_LINES)
def functions_are_short(module: Module) -> Iterator[Violation]:
    for function in module.functions():
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if not module.is_migration and lines > MAX_FUNCTION_LINES:
            yield function.lineno, f"{function.name} has {lines} lines, the budget is {MAX_FUNCTION_LINES}"


# What a server must not do


@rule("todos/routes.py", "print('here')\n")
def nothing_is_printed(module: Module) -> Iterator[Violation]:
    for call in module.calls():
        if isinstance(call.func, ast.Name) and call.func.id in {"print", "pprint"}:
            yield call.lineno, "log it, or echo it from the CLI"


STARTERS = {
    *{"subprocess", "create_subprocess_exec", "create_subprocess_shell", "subprocess_exec", "subprocess_shell"},
    *{"system", "popen", "execv", "execve", "posix_spawn"},
}
STARTING = ("cli/", "verification/")


@rule("core/mail.py", "import subprocess\n")
@rule("core/mail.py", "from asyncio.subprocess import create_subprocess_exec\n")
@rule("core/mail.py", "from os import system\n")
@rule("core/mail.py", "async def send(to):\n    await asyncio.create_subprocess_shell(f'mail {to}')\n")
def no_program_is_started(module: Module) -> Iterator[Violation]:
    """But by the command line, for workers and tools: so there is no command that a request could be part of."""
    if module.path.startswith(STARTING):
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            named = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            named = [node.module or "", *(name.name for name in node.names)]
        elif isinstance(node, ast.Attribute):
            named = [node.attr]
        else:
            continue
        if any(name.rpartition(".")[2] in STARTERS for name in named):
            yield node.lineno, "a server starts no programs"


@rule("core/http/guard.py", "def check(request):\n    return request.url.path.startswith('/admin')\n")
@rule("accounts/mails.py", "def link(request):\n    return request.url_for('verify')\n")
def no_address_is_taken_from_the_request(module: Module) -> Iterator[Violation]:
    """`Host` decides `request.url`, and with it what a guard or a link is made of."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            asked = node.value.id in {"request", "connection", "socket", "websocket"}
            if asked and node.attr in {"url", "base_url", "url_for"}:
                yield node.lineno, "take the path from the scope, and the address from PUBLIC_URL"


BLOCKING = (
    "open",
    "input",
    "time.sleep",
    "requests.",
    "sqlite3.",
    "subprocess.",
    "urllib.request.",
    "shutil.",
    "os.system",
    "os.popen",
    "os.fsync",
    "os.replace",
    "os.open",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.create_connection",
    "smtplib.",
)
BLOCKING_METHODS = {"read_text", "read_bytes", "write_text", "write_bytes", "mkdir", "unlink", "iterdir", "touch"}


@rule("todos/routes.py", "async def page(path):\n    if path:\n        return path.read_text()\n")
@rule("core/mail.py", "import time\nasync def send():\n    time.sleep(1)\n")
def async_code_does_not_block(module: Module) -> Iterator[Violation]:
    for function in module.functions():
        if isinstance(function, ast.AsyncFunctionDef):
            for call in _calls_on_the_loop(function):
                name = ast.unparse(call.func)
                method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
                if method in BLOCKING_METHODS or any(_is_or_begins(name, blocking) for blocking in BLOCKING):
                    yield call.lineno, f"{function.name} blocks the event loop with {name}()"


def _calls_on_the_loop(node: ast.AST) -> Iterator[ast.Call]:
    """Calls made by the coroutine itself; what an inner function or lambda calls may well run in a thread."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.Call):
            yield child
        yield from _calls_on_the_loop(child)


def _is_or_begins(name: str, blocking: str) -> bool:
    return name.startswith(blocking) if blocking.endswith(".") else name == blocking


@rule("core/http/edge.py", "from starlette.middleware import base\nclass Edge(base.BaseHTTPMiddleware): ...\n")
def middleware_is_pure_asgi(module: Module) -> Iterator[Violation]:
    """It breaks cancellation, and one of it costs more than a whole request."""
    for node in ast.walk(module.tree):
        names = {getattr(node, "id", None), getattr(node, "attr", None), getattr(node, "name", None)}
        if "BaseHTTPMiddleware" in names:
            yield getattr(node, "lineno", 1), "BaseHTTPMiddleware"


@rule("accounts/routes.py", "def link(request):\n    return str(request.base_url) + 'reset'\n")
def links_start_with_the_public_url(module: Module) -> Iterator[Violation]:
    """What a request says of our own address was written by the client."""
    for node in ast.walk(module.tree):
        if (
            isinstance(node, ast.Attribute)
            and node.attr in {"url", "base_url", "url_for"}
            and ast.unparse(node.value).split(".")[-1] in {"request", "websocket", "connection"}
        ):
            yield node.lineno, f"{ast.unparse(node)}: take settings.public_url"


@rule("todos/routes.py", "def page():\n    return JSONResponse({}, status_code=404)\n")
@rule("todos/routes.py", "def page():\n    return Response(None, status.HTTP_404_NOT_FOUND)\n")
@rule("todos/routes.py", "def page(response):\n    response.status_code = 404\n")
def errors_are_raised(module: Module) -> Iterator[Violation]:
    """FastAPI commits the transaction of a route that returns, whatever the status."""
    if not module.is_part_of("routes"):
        return
    for call in module.calls():
        if ast.unparse(call.func).endswith("Response"):
            given = [keyword.value for keyword in call.keywords if keyword.arg == "status_code"] or call.args[1:2]
            if any(_is_error(status) for status in given):
                yield call.lineno, "a response with an error status: raise AppException"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Assign) and _is_error(node.value) and "status_code" in ast.unparse(node.targets[0]):
            yield node.lineno, "an error status is set: raise AppException"


def _is_error(status: ast.expr) -> bool:
    if isinstance(status, ast.Constant):
        return isinstance(status.value, int) and status.value >= 400
    return any(f"HTTP_{hundred}" in ast.unparse(status) for hundred in (4, 5))


@pytest.mark.parametrize("checked", {rule.check.__name__: rule for rule in RULES}.values(), ids=str)
def test_the_source_obeys(checked: Rule, modules: list[Module]) -> None:
    found = [f"src/doable/{m.path}:{line}: {what}" for m in modules for line, what in checked.check(m)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("checked", RULES, ids=str)
def test_the_rule_notices_a_violation(checked: Rule) -> None:
    assert list(checked.check(checked.planted))


def test_what_is_right_passes() -> None:
    right = Module(
        "todos/operations.py",
        '"""Verbs."""\n'
        "async def complete(tx: Transaction, todo):\n"
        "    await failpoints.reach('before')\n"
        "    await tx.execute(DONE)\n"
        "    await events.append(tx, todo)\n"
        "    await access.writable(tx.ahead, todo)\n"
        "async def register(db, hasher, path):\n"
        "    await to_thread(lambda: path.read_text())\n"
        "    async with db.transaction() as tx:\n"
        "        await tx.execute(DONE)\n",
    )
    assert not [(str(rule), *violation) for rule in RULES for violation in rule.check(right)]


# Direction of imports


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(SOURCE, tmp_path / "src" / "doable", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_imports_keep_their_direction() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("contract", "planted"),
    [
        pytest.param("entry points > features", {"core/clock.py": "from doable.todos import tables"}, id="upwards"),
        pytest.param("entry points > features", {"accounts/tables.py": "import doable.lists.tables"}, id="sideways"),
        pytest.param("entry points > features", {"stray.py": ""}, id="module without a layer"),
        pytest.param(
            "entry points > features", {"client/wire.py": "import doable.core.ids"}, id="client on the server"
        ),
        pytest.param("the server does not know", {"core/ids.py": "import doable.client"}, id="server on the client"),
        pytest.param("inside a feature", {"todos/tables.py": "from doable.todos import schemas"}, id="within a layer"),
        pytest.param("inside a feature", {"lists/statements.py": "import doable.lists.routes"}, id="within a feature"),
        pytest.param("only what speaks HTTP", {"todos/operations.py": "import fastapi"}, id="operations on FastAPI"),
        pytest.param("only what speaks HTTP", {"core/db.py": "import starlette.requests"}, id="core on Starlette"),
        pytest.param("core below HTTP", {"lists/operations.py": "import doable.core.http.context"}, id="verbs on HTTP"),
        pytest.param(
            "no cycles",
            {"core/clock.py": "import doable.core.ids", "core/ids.py": "import doable.core.clock"},
            id="cycle",
        ),
    ],
)
def test_the_import_linter_notices(copy: Path, contract: str, planted: dict[str, str]) -> None:
    for file in ("lists/routes.py", "todos/schemas.py", *planted):
        with (copy / "src" / "doable" / file).open("a") as source:
            source.write(f"\n{planted.get(file, '')}\n")
    result = lint_imports(copy)
    assert result.returncode == 1, result.stdout + result.stderr
    assert [line for line in result.stdout.splitlines() if line.startswith(contract) and line.endswith("BROKEN")], (
        result.stdout
    )
