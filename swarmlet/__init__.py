"""Swarmlet: join any device to a StratoSwarm cluster and run work on it.

The life of a node is the folder order: hardware, discovery, tokens, join, identity, link, mesh,
workloads, report. See ARCHITECTURE.md.
"""

__version__ = "0.1.0"
