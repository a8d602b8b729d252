"""Data plane of wattroute: an OpenAI-compatible proxy that routes by a precision allocation."""
