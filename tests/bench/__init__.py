"""Measurements, each with a peer in the same run. ``make bench`` runs them; timing never decides a unit test."""
