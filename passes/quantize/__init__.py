"""Passes that fold quantisation into ops. Floor 4."""
