"""What docs/client.md shows works as it stands there."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.support.documents import ROOT
from tests.support.people import PASSWORD
from tests.support.rooms import Served

DOCUMENT = (ROOT / "docs/client.md").read_text()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_example_does_what_the_document_says(served: Served, tmp_path: Path) -> None:
    program = re.search(r"```python\n(.+?)```", DOCUMENT, flags=re.DOTALL)
    printed = re.search(r"It prints `(.+?)`", DOCUMENT)
    assert program is not None
    assert printed is not None
    (tmp_path / "example.py").write_text(program[1])
    await served.register("ana")
    example = await asyncio.create_subprocess_exec(
        sys.executable, "example.py", served.base_url, "ana", PASSWORD, cwd=tmp_path, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await example.communicate()
    assert output.decode() == printed[1] + "\n"
