"""What a node tells about itself: health, metrics, status and log lines. Local, read-only, never a secret."""
