"""Compiled projects on the host, in emulators and on devices. Floor 0."""
