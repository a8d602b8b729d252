"""From calls to the limit that holds; pure."""
