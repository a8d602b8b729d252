"""What the controller does through a Kubernetes API server: stand for election, and scale workloads."""
