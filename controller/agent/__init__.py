"""The node agent: reads GPU power where the GPUs are, and serves it to a controller elsewhere."""
