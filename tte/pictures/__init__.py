"""Pictures of plans, runs and trainings. Floor 0."""
