"""The two programs: ``swarmlet`` on the device, ``stratoswarm`` for the cluster."""
