"""Doable: a self-hosted todo server."""
