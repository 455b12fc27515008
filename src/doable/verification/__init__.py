"""The verification run: what the README promises, tried on this machine, step after step. `doable verify` shows it."""
