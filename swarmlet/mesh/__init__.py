"""This node in the mesh: gossip is advice, and tells quickly who is alive, where, and how well (G5)."""
