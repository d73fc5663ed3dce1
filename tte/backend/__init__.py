"""Where modules go: the formats of others. Floor 4."""
