"""What is kept of an event so that others can check it: recorded as it happens, read, settled."""
