"""The plan as an optimisation problem; the only importer of cvxpy."""
