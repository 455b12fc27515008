"""The figure: a bar for each server's CPU of a request, a panel for each operation."""

import statistics
from collections.abc import Iterator
from html import escape
from pathlib import Path

from bench.contestants import LIMIT, OURS
from bench.load import Sample
from bench.operations import GET_ONE, GET_PAGE, PATCH, POST

WIDTH, LEFT, BAR, GAP = 760, 250, 18, 6
_STYLE = (
    "text{font:13px sans-serif;fill:#222}.head{font-weight:bold}.bar{fill:#9aa5b1}.ours{fill:#1f77b4}.limit{fill:#444}"
)
_KINDS = {OURS: "bar ours", LIMIT: "bar limit"}


def draw(samples: dict[tuple[str, str], list[Sample]], file: Path) -> None:
    elements: list[str] = []
    top = GAP
    for operation in (GET_ONE, GET_PAGE, POST, PATCH):
        bars = sorted(
            (statistics.median(sample.cpu for sample in taken), server)
            for (name, server), taken in samples.items()
            if name == operation.name
        )
        elements += _panel(f"{operation.name}: µs of CPU for a request", bars, top)
        top += (len(bars) + 2) * (BAR + GAP)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" role="img">'
    ground = f'<rect width="{WIDTH}" height="{top}" fill="#fff"/>'
    title = "<title>CPU of a request, by server and operation</title>"
    file.write_text("\n".join([head, title, f"<style>{_STYLE}</style>", ground, *elements, "</svg>\n"]))


def _panel(name: str, bars: list[tuple[float, str]], top: int) -> Iterator[str]:
    yield f'<text class="head" x="{GAP}" y="{top + BAR - 4}">{escape(name)}</text>'
    longest = max((cpu for cpu, _ in bars), default=1)
    for number, (cpu, server) in enumerate(bars, 1):
        y = top + number * (BAR + GAP)
        length = cpu / longest * (WIDTH - LEFT - 70)
        yield f'<text x="{LEFT - GAP}" y="{y + BAR - 4}" text-anchor="end">{escape(server)}</text>'
        yield f'<rect class="{_KINDS.get(server, "bar")}" x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}"/>'
        yield f'<text x="{LEFT + length + GAP:.1f}" y="{y + BAR - 4}">{cpu:,.0f}</text>'
