"""A checker of memory plans that shares nothing with the planner. Floor 0."""
