"""Baselines, delivered power and quality budgets; pure."""
