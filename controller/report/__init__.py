"""The report of an event: what was asked, what was measured, what was delivered, and how to check it."""
