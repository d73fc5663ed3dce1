"""Samples from files, as a model takes them. Floor 0."""
