"""Webhooks: what happens in lists is told to other servers."""
