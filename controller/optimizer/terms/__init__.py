"""Constraints and costs of the plan, one file a topic."""
