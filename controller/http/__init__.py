"""What asking and answering over HTTP needs, whoever asks: secrets, bounds, addresses, and when to try again."""
