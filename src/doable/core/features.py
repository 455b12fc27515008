"""What a feature hands to the processes that run it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from doable.core.db import Reaction
from doable.core.jobs import Job


@dataclass(frozen=True, slots=True)
class Feature:
    """`reactions`: facts of features below, and what this one does about them in the same transaction.

    `root`: what is served without the prefix as well.

    `events`: the kinds of events that this feature writes to the logs of lists, and the shapes of their data;
    `personal_events`: those in the logs of people.
    `jobs`: the kinds of work that it leaves to a worker.
    """

    name: str
    router: APIRouter
    reactions: Mapping[type, Reaction] = field(default_factory=dict)
    root: APIRouter | None = None
    events: Mapping[str, type[BaseModel]] = field(default_factory=dict)
    personal_events: Mapping[str, type[BaseModel]] = field(default_factory=dict)
    jobs: tuple[Job[Any], ...] = ()
