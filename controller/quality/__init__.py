"""What a precision costs in quality: published figures, live estimates, and their bounds. Pure."""
