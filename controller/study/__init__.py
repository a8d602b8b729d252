"""Studies: what a way of routing and planning is worth, computed from a scenario file by `wattroute simulate`."""
