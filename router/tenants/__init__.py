"""Who may use the router, and how much of it: keys, rights and limits of tenants, and the keys of engines."""
