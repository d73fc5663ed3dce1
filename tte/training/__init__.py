"""Training on the host's side: plans, their search, and the loop that lets a device learn. Floor 0."""
