"""Dispatch by the shape of the path: one look-up for each segment, however many routes there are."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fastapi.routing import RouteContext
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Scope

PARAMETER = re.compile(r"\{([a-zA-Z_][a-zA-Z0-9_]*)(?::str)?\}")

type Match = tuple["Entry", tuple[str, ...]]


@dataclass(slots=True)
class Entry:
    """One route: in the order of declaration the first that matches serves."""

    order: int
    names: tuple[str, ...]
    app: ASGIApp | None
    """`None`: FastAPI serves it."""
    scope: dict[str, Any]
    """What routing leaves in the scope."""


@dataclass(slots=True)
class Branch:
    """What can follow after some segments of a path, and by method what ends there."""

    literal: dict[str, "Branch"] = field(default_factory=dict)
    parameter: "Branch | None" = None
    entries: dict[str, Entry] = field(default_factory=dict)


class Table:
    """A miss costs time and never correctness: what is not found here is FastAPI's."""

    def __init__(self) -> None:
        self._root = Branch()
        self._heads: dict[str, Branch] = {}
        """By what stands before the last slash where the way leads, if it is literal and there is no other one."""

    def add(self, segments: list[str], methods: set[str], entry: Entry) -> None:
        branch = self._root
        for segment in segments:
            if PARAMETER.fullmatch(segment):
                branch.parameter = branch.parameter or Branch()
                branch = branch.parameter
            else:
                branch = branch.literal.setdefault(segment, Branch())
        for method in methods:
            branch.entries.setdefault(method, entry)

    def settle(self) -> None:
        """Once all are added: have most paths found by two look-ups."""
        self._heads = dict(_literal_ways(self._root, ""))

    def find(self, scope: Scope, path: str) -> ASGIApp | None:
        """The app of the route that serves the request, with what routing leaves in the scope."""
        match = self._match(path, scope["method"])
        if match is None or match[0].app is None:
            return None
        entry, values = match
        scope.update(entry.scope)
        own = {name: values[place] for place, name in enumerate(entry.names)}
        given = scope.get("path_params")
        scope["path_params"] = {**given, **own} if given else own
        return entry.app

    def _match(self, path: str, method: str) -> Match | None:
        head, slash, last = path.rpartition("/")
        branch, segments = self._heads.get(head), [last]
        if branch is None or not slash:
            branch, segments = self._root, path.split("/")
        values = []
        for segment in segments:
            literal, parameter = branch.literal.get(segment), branch.parameter
            if literal is not None:
                if parameter is not None:  # both fit, and either may lead nowhere
                    matches = _all(self._root, path.split("/"), method, ())
                    return min(matches, key=lambda match: match[0].order, default=None)
                branch = literal
            elif parameter is not None and segment:
                values.append(segment)
                branch = parameter
            else:
                return None
        entry = branch.entries.get(method)
        return None if entry is None else (entry, tuple(values))


def segments_of(route: RouteContext) -> list[str] | None:
    """`None` for a path that is not made of whole segments, each literal or one parameter."""
    if not isinstance(route.original_route, Route) or not route.path or not route.path.startswith("/"):
        return None
    segments = route.path.split("/")
    whole = all(PARAMETER.fullmatch(segment) or not set("{}") & set(segment) for segment in segments)
    return segments if whole else None


def may_shadow(earlier: RouteContext, segments: list[str]) -> bool:
    """Whether a route that the table cannot hold could match a path of this shape; when unsure it could."""
    original, path = earlier.original_route, earlier.path or ""
    if isinstance(original, WebSocketRoute):
        return False
    if not isinstance(original, Mount | Route):
        return True
    literal = f"{path}/" if isinstance(original, Mount) else path.partition("{")[0]
    *heads, last = literal.split("/")
    if len(segments) <= len(heads):
        return False
    for head, segment in zip(heads, segments, strict=False):
        if head != segment and not PARAMETER.fullmatch(segment):
            return False
    following = segments[len(heads)]
    return following.startswith(last) or PARAMETER.fullmatch(following) is not None


def _all(branch: Branch, segments: list[str], method: str, values: tuple[str, ...]) -> Iterator[Match]:
    if not segments:
        if (entry := branch.entries.get(method)) is not None:
            yield entry, values
        return
    segment, *rest = segments
    if (literal := branch.literal.get(segment)) is not None:
        yield from _all(literal, rest, method, values)
    if segment and branch.parameter is not None:
        yield from _all(branch.parameter, rest, method, (*values, segment))


def _literal_ways(branch: Branch, path: str) -> Iterator[tuple[str, Branch]]:
    """Below a branch where nothing but a literal can follow; the path of the root itself has no slash yet."""
    if branch.parameter is None:
        for segment, following in branch.literal.items():
            yield path + segment, following
            yield from _literal_ways(following, f"{path}{segment}/")
