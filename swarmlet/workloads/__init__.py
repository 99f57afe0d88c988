"""What this node runs: assignments taken from the cluster, kept in a journal, run as processes or containers.

``machine.py``, ``reconcile.py``, ``limits.py``, ``container.py`` and ``outbox.py`` decide; ``journal.py``,
``process.py``, ``docker.py``, ``engine_stream.py`` and ``supervisor.py`` touch the world.
"""
