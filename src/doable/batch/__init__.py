"""Several operations as one: all of them happen, or none."""
