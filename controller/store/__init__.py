"""What is kept: the ledger and the decision records."""
