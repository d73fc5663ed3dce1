"""Order, offsets and bounds: where every byte lies. Floor 4."""
