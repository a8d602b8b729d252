"""What the router tells of single requests: access log and traces. Nothing of it runs where neither is configured."""
