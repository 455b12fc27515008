"""Rooms and streams: everybody who may see a list sees what happens in it at once, in order, and misses nothing."""
