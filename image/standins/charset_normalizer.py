"""Stands where guessing of encodings would be: whatever the agent reads over HTTP is UTF-8."""

__version__ = "3.0.0"


def detect(_data):
    """Answer UTF-8."""
    return {"encoding": "utf-8", "language": "", "confidence": 1.0}
