"""How the target computes, in numpy bit for bit: fixed point, floats, random bits, rounding. Floor 0."""
