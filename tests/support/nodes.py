"""Whether a test that a document names is there."""

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).parents[2]


def exists(node: str) -> bool:
    """`node` is `tests/FOLDER/test_FILE.py::test_NAME`, as pytest writes it, without parameters."""
    file, _, name = node.partition("::")
    return bool(name) and name in _tests(ROOT / file)


@functools.cache
def _tests(file: Path) -> frozenset[str]:
    if not file.is_file():
        return frozenset()
    body = ast.parse(file.read_text()).body
    return frozenset(part.name for part in body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef))
