"""How all that a person has leaves in one file, and comes in from one."""
