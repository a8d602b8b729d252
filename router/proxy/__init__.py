"""The data path: asyncio protocols that splice bytes between clients and engines."""
