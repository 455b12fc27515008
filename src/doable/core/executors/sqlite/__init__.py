"""SQLite, in a file."""
