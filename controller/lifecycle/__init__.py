"""Pure parts of a tick: its policy and memory, the life cycle of instances, the table and the power loop."""
