"""Emulated engines and sites, and the replay of real traces."""
