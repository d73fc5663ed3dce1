"""Passes that make a graph smaller without changing what it computes. Floor 4."""
