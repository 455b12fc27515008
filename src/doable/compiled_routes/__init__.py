"""Serves FastAPI's path operations by handlers compiled from their signatures; see README.md beside this file."""

from doable.compiled_routes.eligibility import Handle, Wrap, Wraps
from doable.compiled_routes.handler import WHOLE
from doable.compiled_routes.middleware import Find, Verdict, compile_routes, finding, verdicts
from doable.compiled_routes.parameters import query

__all__ = ["WHOLE", "Find", "Handle", "Verdict", "Wrap", "Wraps", "compile_routes", "finding", "query", "verdicts"]
