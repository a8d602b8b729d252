"""Assigning queries to models by fitted energy and accuracy, offline and as they arrive (arXiv 2407.04014)."""
