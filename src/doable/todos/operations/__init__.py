"""What may happen to a todo. No HTTP here."""
