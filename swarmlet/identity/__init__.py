"""Who this node is: its key and certificate on disk, and when the next one is due."""
