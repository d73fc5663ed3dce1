"""Language models on two units. Floor 3."""
