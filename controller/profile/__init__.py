"""Measures a pool: drives it through a designed grid of load, and fits its curves."""
