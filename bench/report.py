"""Where figures are kept: `docs/performance.md`, one part for each benchmark, written by it."""

import os
import platform
from pathlib import Path

DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"


def machine() -> str:
    """One line that says where figures come from."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return f"{os.cpu_count()} cores ({model}), Python {platform.python_version()}, {platform.system()}"


def write(name: str, text: str) -> None:
    """Replace the part `name` of the document, which stands between its two markers."""
    begin, end = f"<!-- {name}: written by `python -m bench.{name} --write` -->", f"<!-- end of {name} -->"
    before, _, rest = DOCUMENT.read_text().partition(begin)
    DOCUMENT.write_text(f"{before}{begin}\n{text.strip()}\n{end}{rest.partition(end)[2]}")
