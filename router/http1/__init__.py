"""HTTP/1.1 framing and head rewriting; pure, llhttp does the parsing."""
