"""The packages beside us: what an advisory database knows of them, and how old they may be."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from doable.verification import programs
from doable.verification.outcomes import Outcome, Place, State, fell, held, not_run

CANARY = "jinja2==2.10"
"""Known to be vulnerable for years (CVE-2019-10906): a database that does not say so knows nothing."""
_SERVICES = ("pypi", "osv")
_SECONDS = 300.0
_CANARY_SECONDS = 20.0
"""Where packets only vanish, nobody waits for more than this to hear that there is no network."""


def floors(_place: Place) -> Outcome:
    """Nothing that is installed is older than the fixes that we know of."""
    known = _floors()
    broken = list(_below(known, _installed()))
    if broken:
        return fell(f"{len(broken)} packages are below their floor", "\n".join(broken))
    return held(f"{len(known)} floors, none undercut")


def audit(place: Place) -> Outcome:
    """`pip-audit --strict` over everything that is installed; the floors alone where no database can be asked."""
    if programs.installed("pip-audit") is None:
        return _with_floors(place, "pip-audit is not installed")
    reasons = []
    for service in _SERVICES:
        if not (reason := _ignorance(place, service)):
            return _audit(place, service)
        reasons.append(f"{service} {reason}")
    return _with_floors(place, f"no advisory database can be asked: {', '.join(reasons)}")


def _audit(place: Place, service: str) -> Outcome:
    ours = sorted(f"{name}=={version}" for name, version in _installed().items() if name != "doable")
    code, vulnerable, output = _ask(place, service, ours, _SECONDS)
    found = [
        f"{one['name']} {one['version']}: {', '.join(entry['id'] for entry in one['vulns'])}" for one in vulnerable
    ]
    if found:
        return fell(f"{len(found)} packages with known vulnerabilities", "\n".join(found))
    return held(f"{len(ours)} packages, nothing known ({service})") if code == 0 else fell("pip-audit failed", output)


def _with_floors(place: Place, why: str) -> Outcome:
    """An audit that did not take place; a package below its floor is one all the same."""
    instead = floors(place)
    return instead if instead.state is State.FELL else not_run(f"{why}; instead: {instead.summary}")


def _ignorance(place: Place, service: str) -> str:
    """Why the database cannot be believed: it does not answer, or has not heard of what everybody knows."""
    code, vulnerable, _ = _ask(place, service, [CANARY], _CANARY_SECONDS)
    if vulnerable:
        return ""
    return f"knows nothing of {CANARY}" if code == 0 else "does not answer"


def _ask(
    place: Place, service: str, requirements: list[str], seconds: float
) -> tuple[int | None, list[dict[str, Any]], str]:
    """Exit code, what is vulnerable, and what was written."""
    asked, report = place.scratch / "audited.txt", place.scratch / "audit.json"
    asked.write_text("\n".join(requirements))
    report.unlink(missing_ok=True)
    arguments = ("--strict", "--no-deps", "--disable-pip", "--progress-spinner", "off", "--timeout", "10")
    form = ("--vulnerability-service", service, "--format", "json", "--output", str(report))
    ended = programs.run(place.scratch, "pip-audit", *arguments, *form, "--requirement", str(asked), seconds=seconds)
    return ended.code, _vulnerable(report), ended.output


def _vulnerable(report: Path) -> list[dict[str, Any]]:
    if not report.exists() or not (text := report.read_text()).strip():
        return []
    found: list[dict[str, Any]] = json.loads(text)["dependencies"]
    return [one for one in found if one.get("vulns")]


def _floors() -> Mapping[str, Mapping[str, str]]:
    text = resources.files("doable.verification").joinpath("floors.toml").read_text(encoding="utf-8")
    read: dict[str, dict[str, str]] = tomllib.loads(text)
    return read


def _below(known: Mapping[str, Mapping[str, str]], installed: Mapping[str, str]) -> Iterator[str]:
    for name, floor in known.items():
        if name in installed and ("least" not in floor or _numbers(installed[name]) < _numbers(floor["least"])):
            wanted = f"at least {floor['least']}" if "least" in floor else "none of it"
            yield f"{name} {installed[name]}: {wanted} ({floor['because']})"


def _installed() -> dict[str, str]:
    return {re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower(): one.version for one in metadata.distributions()}


def _numbers(version: str) -> tuple[int, ...]:
    """Enough for floors, which are releases: what follows the numbers (`rc1`, `.post1`) is left out."""
    leading = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(number) for number in leading[0].split(".")) if leading else ()
