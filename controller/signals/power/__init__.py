"""Power as measured: sources of GPU power and of the site's meter, and the ladder between them."""
