"""The agent on a device: it joins the stages together, keeps one connection and ends in order.

Everything it needs of a stage goes through a Protocol in ``ports.py``; rules live in ``session.py`` and
``reconnect.py``, which touch nothing.
"""
