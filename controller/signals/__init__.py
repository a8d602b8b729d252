"""Adapters that read the outside world."""
