"""The node agent: reads GPU power where the GPUs are, and serves it to a controller elsewhere.

What goes over the wire is written down in `controller.signals.power.agent_sample`.
"""
