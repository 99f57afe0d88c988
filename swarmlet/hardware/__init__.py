"""What this device is. ``probe.py`` asks the machine, ``parse_*`` and ``assemble`` tell what it means."""
