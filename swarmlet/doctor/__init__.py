"""``swarmlet doctor``: what on this device keeps it from joining or working well, each with its remedy.

``look.py`` gathers ``facts.py``, ``checks.py`` judges them. It needs no cluster, no state and no engine,
changes nothing, and raises nothing for what is missing: that is what it is there to say.
"""
