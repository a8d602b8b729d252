"""How bytes travel: TLS, Unix sockets, addresses, listening and connecting."""
