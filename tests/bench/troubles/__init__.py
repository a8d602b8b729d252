"""Kills, freezes, restarts and clock jumps of every part, drawn by chance: ``python -m tests.bench.troubles``."""
