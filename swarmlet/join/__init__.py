"""Joining: from a token to a certificate on disk. ``machine.py`` decides, ``join.py`` touches the world."""
