"""Serves FastAPI's path operations by handlers compiled from their signatures; see README.md beside this file."""

from doable.compiled_routes.eligibility import Handle, Wrap, Wraps
from doable.compiled_routes.middleware import Verdict, compile_routes, verdicts

__all__ = ["Handle", "Verdict", "Wrap", "Wraps", "compile_routes", "verdicts"]
