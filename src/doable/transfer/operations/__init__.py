"""What may happen to a file that comes in."""
