"""The one connection: frames, control messages and the asyncio shell over the native engine."""
