"""Frozen values shared by node and coordinator. No I/O, no clock, no randomness."""
