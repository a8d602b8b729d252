"""The control loop: `runner` reads, decides by `controller.tick`, and acts; desks do what goes on beside the decision.

A desk looks at each reading or decision, keeps its own state through a restart, and shows its own metrics.
"""
