"""What only HTTP needs."""
