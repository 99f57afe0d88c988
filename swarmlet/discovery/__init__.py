"""Finding the cluster: each way yields addresses to try, never trust (T12)."""
