"""The command line. Floor 0."""
