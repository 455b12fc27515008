"""Reminders: each person's own, of todos that he may see."""
