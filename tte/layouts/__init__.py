"""Weights as kernels of an instruction set want them. Floor 0."""
