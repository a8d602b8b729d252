"""Adapters that act on the outside world."""
