"""What a feature hands to the processes that run it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi import APIRouter

from doable.core.db import Reaction


@dataclass(frozen=True, slots=True)
class Feature:
    """`reactions`: facts of features below, and what this one does about them in the same transaction."""

    name: str
    router: APIRouter
    reactions: Mapping[type, Reaction] = field(default_factory=dict)
