"""Passes that make a network learn. Floor 5."""
