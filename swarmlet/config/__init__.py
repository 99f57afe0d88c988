"""Settings: one table of keys; help, documents and ``config show`` are made from it."""
