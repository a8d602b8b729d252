"""OpenADR 3: messages and reports, pure, and the client (VEN) that speaks them."""
