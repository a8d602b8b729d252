"""Curves of power and time: fits and named profiles; pure."""
