"""The controller as a service: put together from settings, and run until a signal ends it."""
