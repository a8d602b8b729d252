"""How soon all routers obey the newest table once a link is back: ``python -m tests.bench.convergence``."""
