"""The commands of `wattroute`: `*_cli` declare what each takes, and import when it runs what does it."""
