"""Durable state: commands in, snapshots and a log out. Nothing outside this package writes state."""
