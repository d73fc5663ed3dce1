"""Language models on the host's side: tokens, texts, calibration, speech. Floor 0."""
