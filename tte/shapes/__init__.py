"""What several ops share: windows, filters, channels, chunks of tokens, broadcasting. Floor 0."""
