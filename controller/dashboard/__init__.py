"""The operators' live page and its API."""
