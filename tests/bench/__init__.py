"""Measurements, with peers in the same run. ``make bench`` runs them; timing never decides a unit test."""
