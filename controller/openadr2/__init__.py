"""OpenADR 2.0b, by way of the library `openleadr`: imported only where a server is configured."""
