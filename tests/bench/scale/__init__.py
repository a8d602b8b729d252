"""One controller for many routers and instances, on a real Redis: ``python -m tests.bench.scale``."""
